"""Maximum likelihood of the overlapping emitters of a window, by damped Fisher scoring.

Expected electrons are a sum over emitters plus a known part plus a free smooth part. The likelihood
is Poisson's; read noise enters as the shifted Poisson law of Huang et al., Nat. Methods 10, 653
(2013): electrons + variance are Poisson of mean + variance. Each emitter's blur is free too, near
the model's: emitters differ in size and motion, and a wrong blur moves their neighbours.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dsacq.localize.smooth import smooth_images
from dsacq.physics.image_series import MARGIN_UM, ImageSource
from dsacq.physics.optics import Optics

KNOTS_PX = 24.0  # of the smooth part: free, it costs a hundredth of the precision
BLUR_SPREAD_PX = 0.15  # standard deviation of the emitters' own blurs about the model's
_LONGEST_STEP_UM = (0.1, 0.1, 0.25)
_DARKEST = 1e-3  # expected electrons in a pixel, at least
_SETTLED = 2e-3  # squared step over its error, per parameter: the fit ends below it
_RIDGE = 1e-7  # of the normalised information: rounding leaves no less


@dataclass(frozen=True, eq=False)
class Emitters:
    """K emitters in each of G windows, and a smooth part added to what is known of each window.

    xyz_um (G, K, 3): x, y from the window's centre. blur_px, electrons (G, K). amounts
    (G, B) of the window's `smooth_images`.
    """

    xyz_um: Tensor
    blur_px: Tensor
    electrons: Tensor
    amounts: Tensor

    def rows(self, index: Tensor) -> "Emitters":
        """Those of some windows."""
        parts = self.xyz_um, self.blur_px, self.electrons, self.amounts
        return Emitters(*(part[index] for part in parts))

    def where(self, chosen: Tensor, other: "Emitters") -> "Emitters":
        """These in the chosen windows (G,), others elsewhere."""
        return Emitters(
            torch.where(chosen[:, None, None], self.xyz_um, other.xyz_um),
            torch.where(chosen[:, None], self.blur_px, other.blur_px),
            torch.where(chosen[:, None], self.electrons, other.electrons),
            torch.where(chosen[:, None], self.amounts, other.amounts),
        )


@dataclass(frozen=True, eq=False)
class Fit:
    """emitters at the best likelihood found, their light (G, H, W) without any background, and the
    covariance (G, 5 K, 5 K) of (x, y, z, blur, electrons) of each emitter.

    loss (G,): minus the logarithm of the likelihood, less a constant. dispersion (G,): how much
    larger than their noise the residuals are, at least 1.
    """

    emitters: Emitters
    light: Tensor
    covariance: Tensor
    loss: Tensor
    dispersion: Tensor


@dataclass(frozen=True, eq=False)
class _State:
    """The likelihood around one set of emitters: its value (G,), slope and information."""

    light: Tensor
    loss: Tensor
    slope: Tensor
    information: Tensor
    dispersion: Tensor

    def where(self, chosen: Tensor, other: "_State") -> "_State":
        wide = chosen[:, None, None]
        return _State(
            torch.where(wide, self.light, other.light),
            torch.where(chosen, self.loss, other.loss),
            torch.where(chosen[:, None], self.slope, other.slope),
            torch.where(wide, self.information, other.information),
            torch.where(chosen, self.dispersion, other.dispersion),
        )


def fit(
    source: ImageSource,
    data: Tensor,
    known: Tensor,
    start: Emitters,
    *,
    excess: bool = False,
    iterations: int = 10,
) -> Fit:
    """Emitters of the greatest likelihood near `start`.

    data, known (G, H, W): electrons, and what is expected of them without these emitters and their
        smooth part, both with the read variance added.
    excess: an electron-multiplying register doubles the variance of shot noise.
    Each window's likelihood never falls, and no emitter leaves the z range by more than MARGIN_UM.
    """
    emitters = _within_limits(start, source.optics)
    state = _evaluate(source, data, known, emitters, excess)
    damping = torch.full_like(state.loss, 1e-2)
    settled = _SETTLED * state.slope.shape[1]
    for _ in range(iterations):
        step = _solve(state, damping)
        trial = _within_limits(_moved(emitters, step), source.optics)
        tried = _evaluate(source, data, known, trial, excess)
        better = tried.loss <= state.loss
        promised = (step * state.slope).sum(1)  # squared length of the step over its error
        emitters = trial.where(better, emitters)
        state = tried.where(better, state)
        damping = torch.where(better, damping / 5, damping * 8).clamp(1e-6, 1e6)
        if bool((promised < settled).all()):
            break
    own = slice(0, 5 * start.electrons.shape[1])
    error = covariance(state.information)[:, own, own].to(data)
    return Fit(emitters, state.light, error, state.loss, state.dispersion)


def brightness(
    source: ImageSource, data: Tensor, known: Tensor, xyz_um: Tensor, blur_px: Tensor
) -> Emitters:
    """Electrons of emitters at given places, and the smooth part, by non-negative least squares.

    blur_px (G, K); other arguments as for `fit`. Emitters that come out negative are set to one
    electron.
    """
    windows, each = xyz_um.shape[:2]
    shape = (data.shape[1], data.shape[2])
    images = source.images(xyz_um.flatten(0, 1), shape, blur_px.flatten())
    images = images.view(windows, each, -1)
    smooth = _smooth(data)
    design = torch.cat((images, smooth.expand(windows, -1, -1)), 1)
    weight = 1 / known.clamp_min(_DARKEST).flatten(1)
    normal = ((design * weight[:, None]) @ design.mT).double()
    target = (design @ (weight * (data - known).flatten(1))[..., None])[..., 0].double()
    scale = normal.diagonal(dim1=1, dim2=2).clamp_min(1e-30).rsqrt()
    normal = normal * scale[:, :, None] * scale[:, None]
    free = torch.ones_like(target, dtype=torch.bool)
    ridge = _RIDGE * torch.eye(design.shape[1]).to(normal)
    for _ in range(each + 1):
        held = normal * free[:, :, None] * free[:, None] + torch.diag_embed((~free).double())
        solution = torch.linalg.solve(held + ridge, target * scale * free)
        negative = free & (solution < 0)
        negative[:, each:] = False  # the smooth part is of either sign
        if not bool(negative.any()):
            break
        free = free & ~negative
    found = (solution * scale).to(data)
    return Emitters(xyz_um, blur_px, found[:, :each].clamp_min(1), found[:, each:])


def covariance(information: Tensor) -> Tensor:
    """Inverse (..., P, P) of Fisher information, double; infinite variance where it is blind."""
    own = information.diagonal(dim1=-2, dim2=-1)
    blind = own <= 0
    scale = torch.where(blind, 0, own.clamp_min(1e-300).rsqrt())
    normed = information * scale[..., :, None] * scale[..., None, :]
    ridge = torch.diag_embed(blind.double() + _RIDGE)
    inverse = torch.linalg.inv(normed + ridge)
    inverse = inverse * scale[..., :, None] * scale[..., None, :]
    variance = inverse.diagonal(dim1=-2, dim2=-1)
    # Never better than with all other parameters known, whatever rounding says.
    least = torch.where(blind, torch.inf, torch.maximum(variance, scale**2))
    adjusted: Tensor = inverse + torch.diag_embed(least - variance)
    return adjusted


def _evaluate(
    source: ImageSource, data: Tensor, known: Tensor, emitters: Emitters, excess: bool
) -> _State:
    windows, each = emitters.electrons.shape
    shape = (data.shape[1], data.shape[2])
    images, gradient = source.images_and_gradient(
        emitters.xyz_um.flatten(0, 1), shape, emitters.blur_px.flatten()
    )
    bright = emitters.electrons.flatten()
    light = (images * bright[:, None, None]).view(windows, each, *shape).sum(1)
    smooth = _smooth(data)

    mean = (known + light).flatten(1) + emitters.amounts @ smooth
    mean = mean.clamp_min(_DARKEST)
    seen = data.clamp_min(0).flatten(1)
    trust = 0.5 if excess else 1.0
    surplus = seen - mean
    # The largest array, written once, in units of the noise of each pixel.
    jacobian = images.new_empty(windows, 5 * each + len(smooth), mean.shape[1])
    own = jacobian[:, : 5 * each].view(windows, each, 5, -1)
    torch.mul(
        gradient.view(windows, each, 4, -1), emitters.electrons[..., None, None], out=own[:, :, :4]
    )
    own[:, :, 4] = images.view(windows, each, -1)
    jacobian[:, 5 * each :] = smooth
    quiet = mean.rsqrt()
    jacobian *= quiet[:, None]
    slope = (jacobian @ (surplus * quiet)[..., None])[..., 0]
    information = jacobian @ jacobian.mT
    exact, wanted = mean.double(), seen.double()
    loss = (exact - wanted + torch.xlogy(wanted, wanted / exact)).sum(1)
    dispersion = trust * (surplus**2 / mean).mean(1).double()
    state = _State(
        light,
        trust * loss,
        trust * slope.double(),
        trust * information.double(),
        dispersion.clamp_min(1),
    )
    return _with_usual_blur(state, emitters.blur_px - source.model.blur_px)


def _with_usual_blur(state: _State, beyond_px: Tensor) -> _State:
    """The likelihood times that of the blurs, which differ by (G, K) from the model's."""
    weight, last = BLUR_SPREAD_PX**-2, 5 * beyond_px.shape[1]
    slope, information = state.slope.clone(), state.information.clone()
    slope[:, 3:last:5] -= weight * beyond_px
    information.diagonal(dim1=1, dim2=2)[:, 3:last:5] += weight
    loss = state.loss + weight / 2 * beyond_px.double().square().sum(1)
    return _State(state.light, loss, slope, information, state.dispersion)


def _smooth(data: Tensor) -> Tensor:
    """(B, H * W) images of the smooth part."""
    return smooth_images((data.shape[1], data.shape[2]), KNOTS_PX, data.dtype, data.device)


def _solve(state: _State, damping: Tensor) -> Tensor:
    """Levenberg step (G, 5 K + B), scaled by the information's diagonal."""
    scale = state.information.diagonal(dim1=1, dim2=2).clamp_min(1e-30).rsqrt()
    normed = state.information * scale[:, :, None] * scale[:, None]
    damped = normed + torch.diag_embed((damping + _RIDGE)[:, None].expand_as(scale))
    step, _ = torch.linalg.solve_ex(damped, scale * state.slope)
    return torch.nan_to_num(step * scale, posinf=0, neginf=0)


def _moved(emitters: Emitters, step: Tensor) -> Emitters:
    windows, each = emitters.electrons.shape
    own = step[:, : 5 * each].view(windows, each, 5).to(emitters.xyz_um)
    longest = own.new_tensor(_LONGEST_STEP_UM)
    electrons = emitters.electrons
    return Emitters(
        emitters.xyz_um + own[..., :3].clamp(-longest, longest),
        torch.maximum(emitters.blur_px + own[..., 3], 0.8 * emitters.blur_px),
        # A step to nothing or beyond leaves a tenth: its images still say where to go.
        torch.maximum(electrons + own[..., 4], 0.1 * electrons),
        emitters.amounts + step[:, 5 * each :].to(emitters.amounts),
    )


def _within_limits(emitters: Emitters, optics: Optics) -> Emitters:
    low, high = optics.z_range_um
    xyz_um = emitters.xyz_um.clone()
    xyz_um[..., 2].clamp_(low - MARGIN_UM, high + MARGIN_UM)
    electrons = emitters.electrons.clamp_min(1)
    return Emitters(xyz_um, emitters.blur_px, electrons, emitters.amounts)
