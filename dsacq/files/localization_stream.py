"""Localizations as they come, in a file that a crash leaves readable: an Arrow stream."""

import logging
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dsacq.data import COLUMNS, Localizations
from dsacq.errors import FileError
from dsacq.files.atomic import HeldError, remove, replacing
from dsacq.files.parquet import OPTIONS, with_origin
from dsacq.files.reading import reading

log = logging.getLogger(__name__)

_SCHEMA = pa.schema(
    [
        ("frame", pa.int64()),
        *((name, pa.float32()) for name in COLUMNS[1:]),
        ("track", pa.int64()),
    ]
)
_ROWS = 1 << 17  # of a row group


class LocalizationStream:
    """Appends linked localizations to a file; what was appended survives a crash.

    Methods raise FileError when the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("wb")
            self._writer = pa.ipc.new_stream(self._file, _SCHEMA)
        except OSError as error:
            raise self._failure(error) from error

    def append(self, localizations: Localizations) -> None:
        """Write a table that has the column `track`."""
        if not len(localizations):
            return
        table = localizations.table
        arrays = [np.asarray(table[field.name], field.type.to_pandas_dtype()) for field in _SCHEMA]
        try:
            self._writer.write_batch(pa.record_batch(arrays, schema=_SCHEMA))
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Complete the file. Does no harm twice."""
        if self._file.closed:
            return
        try:
            try:
                self._writer.close()
            finally:
                self._file.close()
        except OSError as error:
            raise self._failure(error) from error

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


def to_parquet(path: Path, target: Path, origin: dict[str, Any]) -> int:
    """Write what a stream holds, up to where it was cut short, as Parquet; returns the rows.

    Raises FileError when the stream cannot be read or is damaged, or the target not be written.
    """
    rows = written = 0
    with (
        replacing(target) as partial,
        pq.ParquetWriter(partial, with_origin(_SCHEMA, origin), **OPTIONS) as writer,
    ):
        waiting: list[pa.RecordBatch] = []
        for batch in _batches(path):
            waiting.append(batch)
            rows += batch.num_rows
            if rows - written >= _ROWS:
                writer.write_table(pa.Table.from_batches(waiting, _SCHEMA))
                waiting, written = [], rows
        writer.write_table(pa.Table.from_batches(waiting, _SCHEMA))
    return rows


def finish(path: Path, target: Path, origin: dict[str, Any]) -> None:
    """Make a stream a Parquet file, in its place. A file that another program holds is no failure:
    the stream stays, which `repair` makes a table too, and a warning tells it. Raises FileError as
    `to_parquet`.
    """
    try:
        to_parquet(path, target, origin)
        remove(path)
    except HeldError as error:
        log.warning("%s", error)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with reading(path, "a stream of localizations"), path.open("rb") as file:
        try:
            stream = pa.ipc.open_stream(file)
            if stream.schema != _SCHEMA:
                raise FileError(f"{path}: is not a stream of localizations of this version.")
            for batch in stream:
                batch.validate()
                yield batch
        except (pa.ArrowException, OSError):
            if file.read(1):  # else it was cut short
                raise
