"""Localizations as they come, in a file that a crash leaves readable: an Arrow stream."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dsacq.data import COLUMNS, Localizations
from dsacq.errors import FileError
from dsacq.files.atomic import replacing
from dsacq.files.parquet import OPTIONS, with_origin
from dsacq.files.reading import reading

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

    Which columns it has beside those of every table and `track` is up to the first table with rows.
    Methods raise FileError when the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None
        self._schema = _SCHEMA
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
        self._writer = pa.ipc.new_stream(self._file, schema)

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
    schema = _read_schema(path)
    with (
        replacing(target) as partial,
        pq.ParquetWriter(partial, with_origin(schema, origin), **OPTIONS) as writer,
    ):
        waiting: list[pa.RecordBatch] = []
        for batch in _batches(path):
            waiting.append(batch)
            rows += batch.num_rows
            if rows - written >= _ROWS:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting, written = [], rows
        writer.write_table(pa.Table.from_batches(waiting, schema))
    return rows


def _schema_of(table: pd.DataFrame) -> pa.Schema:
    """That of every table, with the numbers that this one has besides."""
    others = table.drop(columns=_SCHEMA.names).select_dtypes("number")
    kinds = ((name, pa.from_numpy_dtype(others[name].dtype)) for name in others)
    return pa.schema([*_SCHEMA, *kinds])


def _read_schema(path: Path) -> pa.Schema:
    """Of a stream; that of every table where it was cut short before it had any."""
    with reading(path, "a stream of localizations"), path.open("rb") as file:
        try:
            schema = pa.ipc.open_stream(file).schema
        except (pa.ArrowException, OSError):
            if file.read(1):
                raise
            return _SCHEMA
        if list(schema)[: len(_SCHEMA)] != list(_SCHEMA):
            raise FileError(f"{path}: is not a stream of localizations of this version.")
        return schema


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with reading(path, "a stream of localizations"), path.open("rb") as file:
        try:
            stream = pa.ipc.open_stream(file)
            for batch in stream:
                batch.validate()
                yield batch
        except (pa.ArrowException, OSError):
            if file.read(1):  # else it was cut short
                raise
