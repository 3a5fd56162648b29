"""Localizations as Parquet: every column, and what made them."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dsacq.data import Localizations
from dsacq.errors import FileError
from dsacq.files.atomic import replacing
from dsacq.files.columns import localizations_from
from dsacq.files.reading import parsed_json, reading

_KEY = b"dsacq"  # of the schema metadata: a JSON object with `format` and `origin`
_FORMAT = 1
_MOST_SHRINKING, _FREE_BYTES = 100, 1 << 28
OPTIONS: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}


def read_parquet(path: Path) -> Localizations:
    """Localizations from a Parquet file, ours or any with our column names.

    Raises FileError, also where the checksum of a page does not match.
    """
    with (
        reading(path, "a Parquet file"),
        _opened(path) as file,
    ):
        _require_stored(path, file)
        table = file.read()
        columns = {name: table[name].to_pandas() for name in table.column_names}
        ours = parsed_json((table.schema.metadata or {}).get(_KEY, b"{}"))
    if not isinstance(ours, dict) or not isinstance(ours.get("origin", {}), dict):
        raise FileError(f"{path}: its description of what made it is damaged.")
    if ours.get("format", _FORMAT) != _FORMAT:
        raise FileError(
            f"{path}: was written by another version of dsacq "
            f"(format {ours['format']}, this one reads {_FORMAT}); update dsacq."
        )
    return localizations_from(path, columns, ours.get("origin"))


def _opened(path: Path) -> pq.ParquetFile:
    """Texts as a dictionary of those that differ, however often they are repeated."""
    texts = [name for name, kind in _kinds(path) if pa.types.is_binary(kind) or _is_text(kind)]
    return pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=texts)


def _kinds(path: Path) -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in pq.read_schema(path)]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _require_stored(path: Path, file: pq.ParquetFile) -> None:
    """Raises FileError where a table is larger than what is stored of it can be, before memory is
    asked for: places that differ do not shrink so far."""
    told = file.metadata
    values = sum(
        told.row_group(group).column(column).num_values
        for group in range(told.num_row_groups)
        for column in range(told.num_columns)
    )
    values = max(values, told.num_rows * told.num_columns)
    if 8 * values > max(_MOST_SHRINKING * path.stat().st_size, _FREE_BYTES):
        raise FileError(
            f"{path}: is damaged, it claims {values} values, more than its size can hold."
        )


def write_parquet(localizations: Localizations, path: Path) -> None:
    """Write all columns, and origin as JSON. Raises FileError."""
    table = pa.Table.from_pandas(localizations.table, preserve_index=False)
    described = with_origin(table.schema, localizations.origin)
    with replacing(path) as partial:
        pq.write_table(table.cast(described), partial, **OPTIONS)


def origin_of(schema: pa.Schema) -> dict[str, Any]:
    """What a schema tells of what made its table; nothing where that is damaged."""
    try:
        ours = parsed_json((schema.metadata or {}).get(_KEY, b"{}"))
    except ValueError:
        return {}
    told = ours.get("origin") if isinstance(ours, dict) else None
    return told if isinstance(told, dict) else {}


def with_origin(schema: pa.Schema, origin: dict[str, Any]) -> pa.Schema:
    """The schema of a table, telling also what made it."""
    ours = json.dumps({"format": _FORMAT, "origin": origin})
    described: dict[bytes | str, Any] = {**(schema.metadata or {}), _KEY: ours.encode()}
    return schema.with_metadata(described)
