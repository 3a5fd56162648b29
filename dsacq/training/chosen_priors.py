"""Priors for a training from what was measured, wide enough that training covers the data."""

from dsacq.physics.camera import Camera, response
from dsacq.simulation.background import Constant
from dsacq.simulation.brightness import Brightness, Lognormal, LogUniform
from dsacq.training.estimate import Estimate
from dsacq.training.settings import Priors

_DENSER = 1.5  # than the densest windows
_LEAST_SHARE = 0.25  # of an emitter in the area of an image: sparser frames teach slowly
_FEW = 50  # emitters
_WIDE_SIGMA = 0.8  # of a lognormal: wider, its tails hold what no frame shows
_CROWDED = 3.0  # emitters in the area of an image
_GAIN_DIFFERS = 0.2
_NOISE_DIFFERS = 1.5  # a factor


def chosen_priors(estimate: Estimate) -> Priors:
    """Priors around the estimates."""
    level = estimate.background
    roughness = min(max(1.25 * level.roughness, 0.2), 1.5)
    high = max(1.3 * level.high, 0.1)
    low = min(max(0.7 * level.low, 0.0), high)
    length = 64.0 if level.roughness_px is None else min(max(level.roughness_px, 32.0), 192.0)
    return Priors(
        density_per_um2=rounded(_most_dense(estimate)),
        photons=_brightness(estimate),
        background=Constant(
            photons=(rounded(low), rounded(high)),
            roughness=rounded(roughness),
            roughness_px=rounded(length),
        ),
    )


def comments(estimate: Estimate) -> dict[str, str]:
    """Where the numbers of `chosen_priors` come from, by their keys."""
    level, photons = estimate.background, estimate.photons
    visible = rounded(estimate.visible_photons)
    told = {
        "priors": f"measured on {counted(estimate.frames, 'frame')} with "
        f"{counted(estimate.emitters, 'emitter')} found",
        "priors.density_per_um2": f"found {estimate.density_per_um2:.2g}, in dense places "
        f"{estimate.density_high_per_um2:.2g}; the most is {_DENSER:g} times that",
        "priors.background.photons": f"per pixel; found {level.median:.3g}, "
        f"{level.low:.3g} to {level.high:.3g} over windows; widened by 30 %",
        "priors.background.roughness": f"peak to valley; found {level.roughness:.2g}",
    }
    if level.roughness_px is None:
        told["priors.background.roughness_px"] = "not measured: the background is flat"
    if not estimate.emitters:
        told["priors.density_per_um2"] = "no emitters found: one in the area of an image"
        told["priors.photons"] = f"no emitters found: around the visible, {visible:g}"
    elif _most_dense(estimate) > _DENSER * estimate.density_high_per_um2:
        told["priors.density_per_um2"] = (
            f"found {estimate.density_per_um2:.2g}; raised, as sparse frames teach slowly"
        )
    if photons is not None:
        told["priors.photons"] = (
            f"at the sensor; found {rounded(photons.median):g}, 90 % from {rounded(photons.low):g} "
            f"to {rounded(photons.high):g}; visible from about {visible:g}"
        )
    return told


def remarks(estimate: Estimate, camera: Camera | None) -> list[str]:
    """Sentences on what the user should know or mend; camera: as told, None when it was not."""
    told = [*_on_camera(estimate, camera), *_on_emitters(estimate)]
    if estimate.background.median <= 0:
        told.append(
            "The background lies at or below the camera's offset: was a minimum or a background "
            "subtracted? Estimate and localize on frames as the camera gave them."
        )
    return told


def _on_camera(estimate: Estimate, camera: Camera | None) -> list[str]:
    found, noise = estimate.transfer.adu_per_electron, estimate.noise
    told = []
    if camera is None:
        told.append(
            "No [camera] in the optics file: counts are taken as photons (kind = 'ideal'), "
            "which is right only where an offset is subtracted and the gain divided out."
        )
    given = 1.0 if camera is None else gain_adu_per_electron(camera)
    wrong = found is not None and abs(found / given - 1) > _GAIN_DIFFERS
    if found is None:
        told.append(
            "The gain could not be checked: that takes at least two consecutive frames, brighter "
            "than the camera's offset."
        )
    elif wrong and camera is None:
        told.append(
            f"Counts are no photons: dark pixels vary from frame to frame as with {found:.3g} ADU "
            "per electron. Give the [camera] in the optics file."
        )
    elif wrong:
        told.append(
            f"The camera's gain looks wrong: dark pixels vary from frame to frame as with "
            f"{found:.3g} ADU per electron, while {given:.3g} was given. Check gain, offset and "
            "read noise; photons are wrong by that factor."
        )
    if found is None and not 1 / _NOISE_DIFFERS < noise < _NOISE_DIFFERS:
        told.append(
            f"Dark pixels have {noise:.2g} times the variance that this camera explains: check its "
            "gain, offset and read noise."
        )
    return told


def _on_emitters(estimate: Estimate) -> list[str]:
    count, photons = estimate.emitters, estimate.photons
    if photons is None:
        return [
            "No emitters found: photons and density are guesses from the noise (an emitter is "
            f"visible from about {rounded(estimate.visible_photons):g} photons). Check mask, "
            "focus and z range if there are emitters."
        ]
    told = []
    if count < _FEW:
        told.append(f"Only {counted(count, 'emitter')}: the priors are rough; give more frames.")
    if photons.cut_off:
        told.append(
            "Many emitters are near the faintest that can be found; others may be fainter still, "
            "so density and photons are less certain."
        )
    if estimate.density_high_per_um2 * estimate.footprint_um2 > _CROWDED:
        told.append("Images overlap much: some emitters were missed, the density may be higher.")
    return told


def gain_adu_per_electron(camera: Camera) -> float:
    """Mean over the pixels; electrons at the input."""
    gain = response(camera).adu_per_electron
    return gain if isinstance(gain, float) else float(gain.mean())


def _most_dense(estimate: Estimate) -> float:
    if not estimate.emitters:
        return 1 / estimate.footprint_um2
    return max(_DENSER * estimate.density_high_per_um2, _LEAST_SHARE / estimate.footprint_um2)


def _brightness(estimate: Estimate) -> Brightness:
    photons, visible = estimate.photons, estimate.visible_photons
    if photons is None:
        return LogUniform(low=rounded(visible / 2), high=rounded(30 * visible))
    if photons.lognormal and photons.sigma < _WIDE_SIGMA:
        sigma = max(1.3 * photons.sigma, 0.4)
        return Lognormal(median=rounded(photons.median), sigma=rounded(sigma))
    low = min(photons.low / 1.5, visible / 2) if photons.cut_off else photons.low / 1.5
    return LogUniform(low=rounded(low), high=rounded(1.5 * photons.high))


def rounded(value: float) -> float:
    """To three digits."""
    return float(f"{value:.3g}")


def counted(count: int, what: str) -> str:
    """As in "1 frame", "2 frames"."""
    return f"{count} {what}{'' if count == 1 else 's'}"
