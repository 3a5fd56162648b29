"""What the simulated camera sees is what dsacq's physics says of mask, focus, laser and bead."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_bench import PHOTONS, SIDE, bead_bench, camera_of, pattern_of
from torch import Tensor

from dsacq.errors import SettingsError
from dsacq.physics.camera import ScmosCamera, to_photons
from dsacq.physics.masks import PhaseMask, astigmatism, double_helix, flat, tetrapod, zernike_mask
from dsacq.physics.optics import STANDARD_OPTICS, Optics
from dsacq.physics.psf import bead_blur_px, psf
from hardware.bench import Bench
from hardware.simulated import (
    SimulatedLaser,
    SimulatedLaserSettings,
    SimulatedShutter,
    SimulatedShutterSettings,
    SimulatedSLM,
    SimulatedSLMSettings,
    SimulatedStage,
    SimulatedStageSettings,
)
from hardware.slm_pattern import GreyLevels, PupilAlignment

AT_COVERSLIP = replace(STANDARD_OPTICS, focus_um=0.0, z_range_um=(0.0, 3.0))
LOPSIDED = zernike_mask(STANDARD_OPTICS, {(3, 1): 1.0, (2, -2): 0.8, (3, 3): 0.5})


def seen(bench: Bench) -> Tensor:
    """Expected photons (H, W) of the bead, of an exposure of 0.1 s."""
    exposure = bench.expose(0.1, 0.1)
    return exposure.photons - exposure.background


def expected(bench: Bench, mask: PhaseMask, focus_um: float = 0.0) -> Tensor:
    """Of `psf`, for the bead in the middle and its neighbours."""
    settings, optics = bench.settings, bench.optics
    place = bench.expose(0.1, 0.1).emission
    middle = torch.tensor([SIDE / 2 * optics.pixel_um, SIDE / 2 * optics.pixel_um, 0])
    images = psf(
        torch.tensor(mask.phase_rad),
        place.xyz_um - middle,
        optics,
        (SIDE, SIDE),
        settings.psf,
        mask_pixel_um=mask.pixel_um,
        focus_um=focus_um,
        blur_px=bead_blur_px(settings.psf.blur_px, 0.05, optics.pixel_um),
    )
    near = ((place.xyz_um[:, :2] - middle[:2]).abs() < (SIDE / 2 + 20) * optics.pixel_um).all(1)
    return (images[near] * place.photons[near, None, None]).sum(0)


def difference(image: Tensor, wanted: Tensor) -> float:
    return float((image - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("mask", [tetrapod(AT_COVERSLIP), LOPSIDED], ids=lambda mask: mask.name)
def test_a_mask_on_the_slm_gives_its_psf(mask: PhaseMask) -> None:
    bench = bead_bench()
    SimulatedSLM("slm", SimulatedSLMSettings(), bench).show(pattern_of(mask))
    assert difference(seen(bench), expected(bench, mask)) < 0.02
    assert difference(seen(bench), expected(bench, flat(STANDARD_OPTICS))) > 0.4


def test_steep_patterns_are_seen_by_every_pixel() -> None:
    """Within what its pixels on the SLM, finer than those of the mask, make of its edges."""
    mask = double_helix(STANDARD_OPTICS)
    bench = bead_bench()
    bench.change(pattern=pattern_of(mask))
    assert difference(seen(bench), expected(bench, mask)) < 0.1


def test_an_slm_without_a_pattern_is_flat() -> None:
    bench = bead_bench()
    assert difference(seen(bench), expected(bench, flat(STANDARD_OPTICS))) < 0.01


def test_flips_mirror_the_mask() -> None:
    flipped = PupilAlignment(flip_x=True)
    bench = bead_bench(true_alignment=flipped)
    bench.change(pattern=pattern_of(LOPSIDED))
    mirrored = replace(LOPSIDED, phase_rad=LOPSIDED.phase_rad[:, ::-1].copy())
    assert difference(seen(bench), expected(bench, LOPSIDED)) > 0.3
    assert difference(seen(bench), expected(bench, mirrored)) < 0.02
    bench.change(pattern=pattern_of(LOPSIDED, flipped))
    assert difference(seen(bench), expected(bench, LOPSIDED)) < 0.02


@pytest.mark.parametrize(
    "alignment",
    [PupilAlignment(centre_px=(310.2, 309.7)), PupilAlignment(rotation_rad=0.3)],
    ids=["shifted", "turned"],
)
def test_a_misalignment_shows_until_the_pattern_allows_for_it(alignment: PupilAlignment) -> None:
    bench = bead_bench(true_alignment=alignment)
    bench.change(pattern=pattern_of(LOPSIDED))
    assert difference(seen(bench), expected(bench, LOPSIDED)) > 0.05
    bench.change(pattern=pattern_of(LOPSIDED, alignment))
    assert difference(seen(bench), expected(bench, LOPSIDED)) < 0.02


def test_wrong_grey_levels_show_until_the_pattern_allows_for_them() -> None:
    levels = GreyLevels(levels_per_2pi=190)
    bench = bead_bench(true_levels=levels)
    bench.change(pattern=pattern_of(LOPSIDED))
    assert difference(seen(bench), expected(bench, LOPSIDED)) > 0.1
    bench.change(pattern=pattern_of(LOPSIDED, None, levels))
    assert difference(seen(bench), expected(bench, LOPSIDED)) < 0.02


def test_an_aberration_is_a_mask_nobody_showed() -> None:
    bench = bead_bench(aberration_rad={6: 1.0})
    assert difference(seen(bench), expected(bench, astigmatism(STANDARD_OPTICS))) < 0.01


def test_the_stage_is_the_focus() -> None:
    bench = bead_bench()
    stage = SimulatedStage("z", SimulatedStageSettings(), bench)
    for focus_um in (-0.7, 1.2):
        stage.move_to(focus_um)
        mask = flat(STANDARD_OPTICS)
        assert difference(seen(bench), expected(bench, mask, focus_um)) < 0.02
        assert difference(seen(bench), expected(bench, mask, 0.0)) > 0.2


def test_the_other_stages_move_the_field() -> None:
    bench = bead_bench()
    before = seen(bench)
    SimulatedStage("x", SimulatedStageSettings(axis="x"), bench).move_to(5 * 0.11)
    SimulatedStage("y", SimulatedStageSettings(axis="y"), bench).move_to(-3 * 0.11)
    assert difference(seen(bench)[3:, :-5], before[:-3, 5:]) < 0.01


def test_light_goes_with_power_and_exposure() -> None:
    bench = bead_bench()
    before = bench.expose(0.1, 0.1)
    laser = SimulatedLaser("laser", SimulatedLaserSettings(), bench)
    assert float(bench.expose(0.1, 0.1).photons.sum()) == 0
    laser.set_power(bench.settings.reference_mw * 3)
    laser.on()
    after = bench.expose(0.05, 0.1)
    assert difference(after.photons, before.photons * 1.5) < 1e-5
    assert torch.allclose(after.emission.photons, before.emission.photons * 1.5)
    shutter = SimulatedShutter("shutter", SimulatedShutterSettings(), bench)
    dark = bench.expose(0.1, 0.1)
    assert float(dark.photons.sum()) == 0
    assert len(dark.emission.photons) == 0
    shutter.set_opened(True)
    assert float(bench.expose(0.1, 0.1).photons.sum()) > 0


def test_a_dark_camera_sees_its_offset_and_noise() -> None:
    bench = bead_bench()
    SimulatedLaser("laser", SimulatedLaserSettings(), bench)
    camera = camera_of(bench)
    camera.start(20)
    frames = np.stack([camera.next_frame(10).pixels for _ in range(20)])  # type: ignore[union-attr]
    assert frames.mean() == pytest.approx(100, abs=0.1)
    assert frames.var() == pytest.approx(12 + 1 / 12, rel=0.05)
    assert len(camera.take_truth()) == 0


def test_labels_bleach_in_the_light_only() -> None:
    bench = bead_bench(half_life_s=2.0)
    first = bench.expose(0.1, 1.0).emission.photons
    second = bench.expose(0.1, 1.0).emission.photons
    assert torch.allclose(second, first * 0.5**0.5)
    bench.change(power_mw=bench.settings.reference_mw * 2)
    bench.expose(0.1, 1.0)
    bench.change(emitting=False)
    bench.expose(0.1, 50.0)
    bench.change(emitting=True, power_mw=bench.settings.reference_mw)
    assert torch.allclose(bench.expose(0.1, 1.0).emission.photons, first * 0.25)


def test_many_exposures_average_to_the_physics() -> None:
    """With every pixel's own offset and gain, within the noise of the mean."""
    generator = np.random.default_rng(0)
    noise = ScmosCamera(
        quantum_efficiency=0.8,
        offset_adu=generator.uniform(90, 110, (SIDE, SIDE)).astype(np.float32),
        gain_adu_per_electron=generator.uniform(1.8, 2.2, (SIDE, SIDE)).astype(np.float32),
        read_variance_adu2=9.0,
    )
    bench = bead_bench(noise=noise)
    bench.change(power_mw=50 * bench.settings.reference_mw)
    camera = camera_of(bench)
    bench.change(pattern=pattern_of(LOPSIDED))
    count = 200
    camera.start(count)
    frames = np.stack([camera.next_frame(10).pixels for _ in range(count)])  # type: ignore[union-attr]
    mean = to_photons(noise, torch.from_numpy(frames.astype(np.float32))).mean(0)
    wanted = expected(bench, LOPSIDED) * 0.02 + 10
    variance = (wanted / 0.8 + (9.0 + 1 / 12) / 4 / 0.64) / count
    assert float(((mean - wanted) ** 2 / variance).mean()) == pytest.approx(1, abs=0.15)


def test_maps_of_another_shape_are_told() -> None:
    noise = ScmosCamera(offset_adu=np.full((9, 9), 100, np.float32))
    with pytest.raises(SettingsError, match=r"bench\.noise\.offset_adu"):
        bead_bench(noise=noise)


def test_other_optics_have_their_own_pupil(storm_optics: Optics) -> None:
    bench = bead_bench(storm_optics)
    mask = zernike_mask(storm_optics, {(2, 2): 1.0, (3, 1): 0.5})
    bench.change(pattern=pattern_of(mask, optics=storm_optics))
    assert difference(seen(bench), expected(bench, mask)) < 0.02


def test_photons_are_those_of_the_settings() -> None:
    emission = bead_bench().expose(0.1, 0.1).emission
    assert emission.photons.tolist() == [PHOTONS] * 9
