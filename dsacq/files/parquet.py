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
OPTIONS: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}


def read_parquet(path: Path) -> Localizations:
    """Localizations from a Parquet file, ours or any with our column names.

    Raises FileError, also where the checksum of a page does not match.
    """
    with (
        reading(path, "a Parquet file"),
        pq.ParquetFile(path, page_checksum_verification=True) as file,
    ):
        table = file.read()
        columns = {name: table[name].to_pandas() for name in table.column_names}
        ours = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    if not isinstance(ours, dict) or not isinstance(ours.get("origin", {}), dict):
        raise FileError(f"{path}: its description of what made it is damaged.")
    if ours.get("format", _FORMAT) != _FORMAT:
        raise FileError(
            f"{path}: was written by another version of dsacq "
            f"(format {ours['format']}, this one reads {_FORMAT}); update dsacq."
        )
    return localizations_from(path, columns, ours.get("origin"))


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
