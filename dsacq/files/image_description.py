"""What programs write beside the pixels of a movie: ImageJ, OME-XML and Micro-Manager.

Only a few values are wanted, and what is missing or unreadable is left out: OME-XML by
Micro-Manager is often invalid, so it is searched, not parsed.
"""

import html
import json
import math
import re
from typing import Any

MICROMETRES = {"um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "micron": 1.0, "microns": 1.0}
LENGTHS_UM = MICROMETRES | {"nm": 1e-3, "mm": 1e3, "cm": 1e4}


def positive(value: Any) -> float | None:
    """The value as a finite positive number, if it is one."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def length_um(value: Any, unit: str) -> float | None:
    """A length in um from a value and the name of its unit, if they are one."""
    number, scale = positive(value), LENGTHS_UM.get(unit.strip().lower())
    return number * scale if number and scale else None


def axes(sizes: dict[str, Any]) -> str:
    """The axes of a movie, slowest first, as in "TYX"; empty where only rows and columns are known.

    sizes: by axis, slowest first; those of size 1 do not count.
    """
    several = "".join(axis for axis, size in sizes.items() if (positive(size) or 1) > 1)
    return f"{several}YX" if several else ""


def known(values: dict[str, Any]) -> dict[str, Any]:
    """The values without those that are None or empty."""
    return {name: value for name, value in values.items() if value not in (None, "")}


def json_object(text: str) -> dict[str, Any]:
    """The JSON object that a text is; empty where it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def imagej_values(description: str) -> dict[str, str]:
    """The `key=value` lines of ImageJ's description; empty where it is none."""
    if not description.startswith("ImageJ="):
        return {}
    return dict(line.split("=", 1) for line in description.splitlines() if "=" in line)


def imagej_metadata(values: dict[str, str], pixels_per_unit: float | None) -> dict[str, Any]:
    """What an ImageJ stack tells. `pixels_per_unit` comes from the TIFF resolution."""
    unit = values.get("unit", "")
    sizes = {"T": "frames", "Z": "slices", "C": "channels"}  # slowest first, as in the file
    return known(
        {
            "format": "ImageJ",
            "axes": axes({axis: values.get(key) for axis, key in sizes.items()}),
            "pixel_um": length_um(1 / pixels_per_unit, unit) if pixels_per_unit else None,
            "z_step_um": length_um(values.get("spacing"), unit),
            "interval_s": positive(values.get("finterval")),
        }
    )


def ome_metadata(description: str) -> dict[str, Any]:
    """What OME-XML tells of its first image, and what this program wrote into its description."""
    if "<OME" not in description:
        return {}

    def attribute(name: str) -> str:
        found = re.search(rf'\b{name}="([^"]*)"', description)
        return found[1] if found else ""

    order = attribute("DimensionOrder").removeprefix("XY")[::-1]
    own = description.partition('Creator="dsacq"')[2].partition("<Description>")[2]
    return json_object(html.unescape(own.partition("<")[0])) | known(
        {
            "format": "OME-TIFF",
            "axes": axes({axis: attribute(f"Size{axis}") for axis in order}),
            "pixel_um": length_um(
                attribute("PhysicalSizeX"), attribute("PhysicalSizeXUnit") or "um"
            ),
            "z_step_um": length_um(
                attribute("PhysicalSizeZ"), attribute("PhysicalSizeZUnit") or "um"
            ),
            "interval_s": positive(attribute("TimeIncrement")),
        }
    )


def micromanager_metadata(values: Any) -> dict[str, Any]:
    """What Micro-Manager tells of one of its images; values: the JSON beside it, if there is."""
    if not isinstance(values, dict):
        return {}
    exposure_ms = positive(values.get("Exposure-ms", values.get("Exposure")))
    camera = values.get("Core-Camera", values.get("Camera"))
    return known(
        {
            "pixel_um": positive(values.get("PixelSizeUm")),
            "exposure_s": exposure_ms / 1000 if exposure_ms else None,
            "camera": camera if isinstance(camera, str) else None,
        }
    )
