"""What several tests share."""

from pathlib import Path

import pytest

from dsacq.physics.optics import Optics


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real frames and reference results beside the checkout; skips where absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared test data are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def telomere_optics() -> Optics:
    return Optics(
        wavelength_um=0.58,
        na=1.45,
        index_immersion=1.518,
        index_sample=1.33,
        magnification=100,
        focal_4f_um=150_000,
        camera_pixel_um=11,
        mask_pixel_um=24,
        focus_um=4.5,
        z_range_um=(2.0, 6.0),
    )


@pytest.fixture(scope="session")
def storm_optics() -> Optics:
    return Optics(
        wavelength_um=0.67,
        na=1.45,
        index_immersion=1.518,
        index_sample=1.33,
        magnification=100,
        focal_4f_um=100_000,
        camera_pixel_um=11,
        mask_pixel_um=30,
        focus_um=1.5,
        z_range_um=(0.0, 4.0),
    )
