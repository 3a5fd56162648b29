"""Rig files for tests."""

from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "docs/examples"

OPTICS = """
[optics]
wavelength_um = 0.58
na = 1.45
index_immersion = 1.518
index_sample = 1.33
magnification = 100
focal_4f_um = 150000
camera_pixel_um = 11
mask_pixel_um = 24
focus_um = 4.5
z_range_um = [2.0, 6.0]
"""
CAMERA = OPTICS + '[camera]\nkind = "simulated"\nexposure_s = 0.02\n'
# A simulated bench that is quick: few pixels of the camera and of the SLM, a flat pattern on it.
SMALL = (
    CAMERA
    + """
[bench]
shape_px = [48, 64]
slm_shape = [600, 640]
[bench.specimen]
kind = "beads"
spacing_um = 3.0
[slm]
kind = "simulated"
[focus]
kind = "simulated"
[lasers.561]
kind = "simulated"
limit_mw = 100
[lasers.640]
kind = "simulated"
[shutters.illumination]
kind = "simulated"
[use]
lasers_mw = { 561 = 20.0 }
"""
)
# The same, with enough light between the beads to measure the camera by.
LIT = SMALL.replace(
    "spacing_um = 3.0\n",
    'spacing_um = 3.0\nbackground = { kind = "constant", photons = 2000.0 }\n',
)


def write_rig(folder: Path, text: str = SMALL) -> Path:
    path = folder / "rig.toml"
    path.write_text(text, encoding="utf-8")
    return path
