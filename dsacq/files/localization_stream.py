"""Localizations as they come, in a file that a crash leaves readable: an Arrow stream.

At its end it becomes a Parquet file; what of it cannot be read by then is kept beside it.
"""

import logging
import os
import shutil
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dsacq.data import COLUMNS, Localizations
from dsacq.errors import FileError
from dsacq.files.atomic import HeldError, remove, replacing
from dsacq.files.parquet import OPTIONS, origin_of, with_origin
from dsacq.files.reading import unread_file

log = logging.getLogger(__name__)

_SCHEMA = pa.schema(
    [
        ("frame", pa.int64()),
        *((name, pa.float32()) for name in COLUMNS[1:]),
        ("track", pa.int64()),
    ]
)
_ROWS = 1 << 17  # of a row group
_END_BYTES = 8  # of the mark at the end of a stream


class LocalizationStream:
    """Appends linked localizations to a file; what was appended survives a crash.

    Which columns it has beside those of every table and `track` is up to the first table with rows.
    origin: what makes them, as far as it is known at the start; it survives, too. Whoever knows
    more at the end may replace it. Methods raise FileError when the file cannot be written.
    """

    def __init__(self, path: Path, origin: Mapping[str, Any] | None = None) -> None:
        self._path = path
        self._writer: Any = None
        self._schema = _SCHEMA
        self.origin = dict(origin or {})
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise self._failure(error) from error

    def append(self, localizations: Localizations) -> None:
        """Write a table that has the column `track`."""
        if not len(localizations):
            return
        table = localizations.table
        try:
            if self._writer is None:
                self._begin(_schema_of(table))
            fields = self._schema
            arrays = [
                np.asarray(table[field.name], field.type.to_pandas_dtype()) for field in fields
            ]
            self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Complete the file. Does no harm twice."""
        if self._file.closed:
            return
        try:
            try:
                if self._writer is None:
                    self._begin(_SCHEMA)
                self._writer.close()
            finally:
                self._file.close()
        except OSError as error:
            raise self._failure(error) from error

    def _begin(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pa.ipc.new_stream(self._file, with_origin(schema, self.origin))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _failure(self, error: OSError) -> FileError:
        return FileError(f"{self._path}: cannot be written ({error.strerror or error}).")


def _schema_of(table: pd.DataFrame) -> pa.Schema:
    """That of every table, with the numbers that this one has besides."""
    others = table.drop(columns=_SCHEMA.names).select_dtypes("number")
    kinds = ((name, pa.from_numpy_dtype(others[name].dtype)) for name in others)
    return pa.schema([*_SCHEMA, *kinds])


@contextmanager
def streaming(path: Path, target: Path, origin: Mapping[str, Any]) -> Generator[LocalizationStream]:
    """A stream that becomes the Parquet file `target` at the end, with its origin.

    What the block raises goes before a FileError of the end: a full disk is told of the file that
    filled it. The stream stays where its table could not be written.
    """
    with LocalizationStream(path, origin) as stream:
        try:
            yield stream
        except BaseException:
            with suppress(FileError):
                stream.close()
                finish(path, target, stream.origin)
            raise
        stream.close()
        finish(path, target, stream.origin)


def finish(path: Path, target: Path, origin: Mapping[str, Any] | None = None) -> int:
    """Put a Parquet file in the place of a stream; returns the bytes that could not be read.

    Those are kept in a file beside it, see `unread_file`. A target that has all rows already stays,
    as it is from an end that was cut short. origin: as for `to_parquet`. Does no harm when it is
    cut short and done again. A file that another program holds is no failure: the stream stays,
    which `repair` makes a table too, and a warning tells it. Raises FileError.
    """
    try:
        return _finished(path, target, origin)
    except HeldError as error:
        log.warning("%s", error)
        return 0


def _finished(path: Path, target: Path, origin: Mapping[str, Any] | None) -> int:
    rows, end = _extent(path)
    if _rows(target) < rows:
        to_parquet(path, target, origin)
    try:
        unread = path.stat().st_size - end
        if unread:
            with replacing(unread_file(path)) as kept, path.open("rb") as file:
                file.seek(end)
                with kept.open("wb") as copy:
                    shutil.copyfileobj(file, copy)
                _sync(kept)
        remove(path)
    except OSError as error:
        raise FileError(f"{path}: cannot be ended ({error.strerror or error}).") from None
    return unread


def streamed_origin(path: Path) -> dict[str, Any]:
    """What a stream tells of what makes it; nothing where it does not. Raises FileError."""
    with _Stream(path) as stream:
        return stream.origin


def to_parquet(path: Path, target: Path, origin: Mapping[str, Any] | None = None) -> int:
    """Write what a stream holds, up to where it can be read, as Parquet; returns the rows.

    origin: of the table; None takes what the stream tells. Raises FileError when the stream cannot
    be opened or the target not be written.
    """
    rows = written = 0
    with _Stream(path) as stream:
        schema = with_origin(stream.schema, stream.origin if origin is None else dict(origin))
        with replacing(target) as partial:
            with pq.ParquetWriter(partial, schema, **OPTIONS) as writer:
                waiting: list[pa.RecordBatch] = []
                for batch in stream.batches():
                    waiting.append(batch)
                    rows += batch.num_rows
                    if rows - written >= _ROWS:
                        writer.write_table(pa.Table.from_batches(waiting, stream.schema))
                        waiting, written = [], rows
                writer.write_table(pa.Table.from_batches(waiting, stream.schema))
            _sync(partial)  # the stream is removed next
    return rows


def _extent(path: Path) -> tuple[int, int]:
    """Rows that can be read, and the place in the file where they end."""
    with _Stream(path) as stream:
        rows = sum(batch.num_rows for batch in stream.batches())
        return rows, stream.end


def _rows(target: Path) -> int:
    """Of a Parquet file; -1 where there is none that can be read."""
    try:
        return int(pq.read_metadata(target).num_rows)
    except (OSError, pa.ArrowException):
        return -1


def _sync(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())


class _Stream:
    """Reads a stream up to where it is cut short or damaged.

    schema: of its tables. origin: what made them, as it tells. end: the place in the file up to
    which it could be read so far.
    """

    def __init__(self, path: Path) -> None:
        self.schema, self.origin = _SCHEMA, dict[str, Any]()
        self.end = 0
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise FileError(f"{path}: cannot be read ({error.strerror or error}).") from None
        self._reader = self._opened()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The tables that can be read."""
        if self._reader is None:
            return
        try:
            for batch in self._reader:
                batch.validate()
                self.end = self._file.tell()
                yield batch
            if self._file.tell() == self.end + _END_BYTES:  # else zeros pass for an end, too
                self.end += _END_BYTES
        except (pa.ArrowException, OSError):
            return

    def _opened(self) -> Any:
        try:
            reader = pa.ipc.open_stream(_Bounded(self._file))
        except (pa.ArrowException, OSError):
            return None
        told = {field.name: field.type for field in reader.schema}
        if any(told.get(field.name) != field.type for field in _SCHEMA):
            return None
        self.end = self._file.tell()
        self.schema, self.origin = reader.schema, origin_of(reader.schema)
        return reader

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class _Bounded:
    """A file that is never asked for more than it holds: a damaged length must not take memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    @property
    def closed(self) -> bool:
        return self._file.closed

    def read(self, count: int) -> bytes:
        return self._file.read(min(count, self._size - self._file.tell()))
