"""Emitters that a fitted frame still lacks, found where what is left looks like one."""

import torch
from torch import Tensor
from torch.nn import functional

from dsacq.localize.fitted_frame import FittedFrame
from dsacq.localize.rivals import reconsider
from dsacq.localize.templates import Templates

THRESHOLD = 12.0  # signal to noise of an emitter's light
# Residuals tell of emitters only where the PSF is the microscope's: see `dispersion`.
_EXPLAINED = 1.5
_HOPEFUL = 2.0  # a crowd that is not yet explained may leave as much; more is left by a wrong PSF
_PASSES, _ROUNDS = 40, 6
# In each pass only scores above this part of the highest: fainter ones may be what is left of
# emitters that brighter neighbours still disturb.
_BRIGHTEST_FIRST = 0.6
_REFITS = 3  # steps of Fisher scoring for all emitters in each pass


def search(
    frame: FittedFrame,
    templates: Templates,
    threshold: float,
    significance: float,
    unexplained: float | None = None,
) -> None:
    """Add emitters until nothing above the threshold is left, and fit them all.

    Where they leave more than noise, other explanations are tried (see `reconsider`). Emitters with
    less light than `significance` times its own error are dropped; as neighbours take of each
    other's certainty, it may be much less than the threshold. unexplained: asked for instead until
    a frame is explained, as what is left of bright emitters may pass for faint ones.
    """
    changed_um = None
    least = significance if unexplained is None else unexplained
    for _ in range(_ROUNDS):
        add_missing(frame, templates, threshold, least)
        frame.settle(least, 10, 4)
        if frame.dispersion > _HOPEFUL:
            break
        if explained(frame):
            least = significance
        changed_um = reconsider(frame, templates, changed_um)
        if not len(changed_um):
            break
        frame.sweep(_REFITS)
        frame.update_surface()


def add_missing(
    frame: FittedFrame, templates: Templates, threshold: float, significance: float
) -> None:
    """Matching pursuit in its plainest form: add emitters until none is above the threshold.

    All are fitted a little in each pass; those with less light than half of `significance` times
    its own error are dropped on the way.
    """
    for _ in range(_PASSES):
        score, depth_um = templates.score(frame.electrons - frame.expected, frame.variance)
        least = max(threshold, _BRIGHTEST_FIRST * float(score.max()))
        row, column = _maxima(score, least, templates.reach)
        if not len(row):
            break
        size = score.new_tensor([frame.shape[1], frame.shape[0]])
        place = torch.stack((column, row), 1) + 0.5 - size / 2
        frame.add(torch.cat((place * frame.pixel_um, depth_um[row, column, None]), 1))
        frame.sweep(_REFITS)
        frame.update_surface()
        frame.prune(significance / 2)


def explained(frame: FittedFrame) -> bool:
    """Whether a frame's emitters leave so little that the rest may tell of others."""
    return frame.dispersion < _EXPLAINED


def _maxima(score: Tensor, threshold: float, apart: int) -> tuple[Tensor, Tensor]:
    """Rows and columns of the largest values within `apart` pixels, above the threshold."""
    size = 2 * apart + 1  # along one axis after the other: the window holds thousands of pixels
    highest = functional.max_pool2d(score[None], (size, 1), 1, (apart, 0))
    highest = functional.max_pool2d(highest, (1, size), 1, (0, apart))[0]
    row, column = ((score == highest) & (score > threshold)).nonzero(as_tuple=True)
    return row, column
