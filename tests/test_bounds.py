"""Bounds of settings name what was likely meant."""

import math
from typing import Annotated

import pytest
from pydantic import TypeAdapter, ValidationError

from dsacq.bounds import bounded
from dsacq.config import validated
from dsacq.errors import SettingsError
from dsacq.physics.optics import STANDARD_OPTICS, Optics
from dsacq.physics.pupil import PsfModel

GIVEN = {
    "wavelength_um": 0.58,
    "na": 1.45,
    "index_immersion": 1.518,
    "index_sample": 1.33,
    "magnification": 100,
    "focal_4f_um": 150_000,
    "camera_pixel_um": 11,
    "mask_pixel_um": 24,
    "focus_um": 4.5,
    "z_range_um": [2.0, 6.0],
}


def test_the_edges_belong_to_the_bounds() -> None:
    kind = TypeAdapter(Annotated[float, bounded(0.1, 4, "um", ["nm"])])
    assert [kind.validate_python(value) for value in (0.1, 4, 2.5)] == [0.1, 4, 2.5]
    for value in (0.0999, 4.001, math.nan, math.inf, -math.inf):
        with pytest.raises(ValidationError, match=r"expected 0\.1 to 4 um"):
            kind.validate_python(value)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("wavelength_um", 580, "if 580 was meant in nm, give 0.58"),
        ("wavelength_um", 5.8e-7, "meant in m, give 0.58"),
        ("wavelength_um", 0.00058, "meant in mm, give 0.58"),
        ("wavelength_um", 20, "expected 0.15 to 4 um"),
        ("wavelength_um", 1e20, "expected 0.15 to 4 um"),
        ("camera_pixel_um", 0.011, "meant in mm, give 11"),
        ("camera_pixel_um", 11_000, "if 11000 was meant in nm, give 11"),
        ("camera_pixel_um", 1.1e-5, "meant in m, give 11"),
        ("mask_pixel_um", 0.024, "meant in mm, give 24"),
        ("mask_pixel_um", 8000, "meant in nm, give 8"),
        ("focal_4f_um", 150, "if 150 was meant in mm, give 150000"),
        ("focal_4f_um", 0.15, "meant in m, give 150000"),
        ("focal_4f_um", 1.5e8, "meant in nm, give 150000"),
        ("focus_um", 4500, "meant in nm, give 4.5"),
        ("focus_um", -4500, "if -4500 was meant in nm, give -4.5"),
        ("index_sample", 0.9, "expected 1 to 3"),
        ("index_sample", 4, "expected 1 to 3"),
        ("index_immersion", 1518, "expected 1 to 3"),
        ("magnification", 1e6, "expected 0.5 to 2000"),
        ("z_range_um", [2000, 6000], "value 2 of z_range_um = 6000: .* meant in nm, give 6"),
        ("z_range_um", [6, 2], "z_range_um = .* expected the lower one first"),
        ("na", 1.6, "na = 1.6: expected less than index_immersion = 1.518"),
    ],
)
def test_optics_that_no_microscope_has(key: str, value: object, told: str) -> None:
    with pytest.raises(SettingsError, match=rf"^rig: .*{told}.*\.$") as error:
        validated(Optics, GIVEN | {key: value}, "rig")
    assert key in str(error.value)


@pytest.mark.parametrize("key", [*GIVEN])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, -1e308])
def test_numbers_that_are_none_are_refused(key: str, value: float) -> None:
    given: object = [value, 6.0] if key == "z_range_um" else value
    with pytest.raises(SettingsError, match=key):
        validated(Optics, GIVEN | {key: given}, "rig")


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"wavelength_um": 0.2, "index_immersion": 1.47, "na": 1.2},  # ultraviolet, glycerol
        {"wavelength_um": 1.55, "index_immersion": 1.0, "na": 0.65},
        {"magnification": 4, "na": 0.1, "index_immersion": 1.0, "focal_4f_um": 10_000},
        {"camera_pixel_um": 1.1},
        {"camera_pixel_um": 24 * 8},  # binned 8 x 8
        {"index_immersion": 1.78, "na": 1.65, "index_sample": 1.0},
        {"focus_um": -30.0, "z_range_um": [-300, 300]},
    ],
)
def test_what_there_is_passes(changed: dict[str, object]) -> None:
    optics = validated(Optics, GIVEN | changed, "rig")
    for key, value in changed.items():
        assert getattr(optics, key) == (tuple(value) if isinstance(value, list) else value)
    assert validated(Optics, GIVEN, "rig") == STANDARD_OPTICS


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("blur_px", math.nan),
        ("blur_px", math.inf),
        ("blur_px", -0.1),
        ("blur_px", 1e9),
        ("oversample", 0),
        ("oversample", 10**9),
        ("oversample", 1.5),
        ("kind", "scaler"),
        ("blurr_px", 1.0),
    ],
)
def test_a_psf_that_is_none_is_refused(key: str, value: object) -> None:
    with pytest.raises(SettingsError, match=key):
        validated(PsfModel, {key: value}, "rig")
    with pytest.raises(ValidationError, match=key):
        PsfModel(**{key: value})  # type: ignore[arg-type]
