"""Other explanations of a fitted frame, where what is left says that the present one is wrong.

An emitter in a crowd may be fitted at a wrong depth, or stand for two. Where the residual is
larger than noise, each emitter is tried elsewhere and as two, beside its neighbours, and what
makes the data most likely stays.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dsacq.localize.fitted_frame import FittedFrame
from dsacq.localize.groups import Group, window
from dsacq.localize.likelihood import brightness, fit
from dsacq.localize.templates import Templates

_SUSPICIOUS = 1.0  # standard deviations of the squared residuals around an emitter: saves time
_AROUND_PX = 10  # of an emitter, where its residual is judged and its rivals are sought
_TOGETHER = 6  # neighbours fitted with each rival
_ELSEWHERE = 4  # rivals of one emitter at other places
_NEW_UM = 0.2  # closer rivals would be fitted to the same place
_ITERATIONS = 3, 6  # for all rivals, then for the likeliest
_LIKELIEST = 2
_LEAST_GAIN = 4.0  # of the logarithm of the likelihood, for a rival with as many emitters
# For one with one more: by chance, five more parameters gain as much once in 1e9 tries.
_SECOND_GAIN = 25.0
_STEP_UM = (0.02, 0.02, 0.04)  # for second derivatives of an image
# Half the distance of two emitters that look like one, in units of the longest.
_NEAREST_PART, _APART_UM = 0.3, (0.2, 0.2, 0.4)


@dataclass(frozen=True, eq=False)
class _Rival:
    """xyz_um (M, 3) instead of the emitter `index`; gain: of the log likelihood, beyond what more
    emitters must bring."""

    index: int
    xyz_um: Tensor
    gain: float


def reconsider(frame: FittedFrame, templates: Templates, near_um: Tensor | None = None) -> Tensor:
    """Replace badly fitting emitters of a settled frame by what is more likely, once.

    near_um (M, 2): only emitters around these places are tried. Returns the places (N, 2) of those
    replaced, from the frame's centre; the frame is then not settled.
    """
    place = frame.xyz_um[:, :2]
    suspect = _misfit(frame) > _SUSPICIOUS
    if near_um is not None:
        reach_um = templates.reach * frame.pixel_um
        suspect &= (torch.cdist(place, near_um, p=torch.inf) < reach_um).any(1)
    rivals = []
    for index in suspect.nonzero().flatten().tolist():
        frame.go_on()
        found = _best_rival(frame, templates, index)
        if found is not None:
            rivals.append(found)
    chosen: list[_Rival] = []
    for rival in sorted(rivals, key=lambda one: -one.gain):
        taken = place[[other.index for other in chosen]]
        if bool(((place[rival.index] - taken).abs().amax(1) > _AROUND_PX * frame.pixel_um).all()):
            chosen.append(rival)
    if chosen:
        frame.replace([rival.index for rival in chosen], [rival.xyz_um for rival in chosen])
    return place[[rival.index for rival in chosen]]


def _misfit(frame: FittedFrame) -> Tensor:
    """(K,) squared residuals around each emitter, in standard deviations above their mean."""
    square = ((frame.electrons - frame.expected) ** 2 / frame.variance)[None, None]
    side = 2 * _AROUND_PX + 1
    mean = functional.avg_pool2d(square, side, 1, _AROUND_PX, count_include_pad=False)[0, 0]
    row, column = frame.pixels().unbind(1)
    return (mean[row, column] - 1) * side / 2**0.5


def _best_rival(frame: FittedFrame, templates: Templates, index: int) -> _Rival | None:
    own = frame.xyz_um[index]
    group = _beside(frame, index, templates.reach)
    elsewhere = _elsewhere(frame, templates, index)
    half = _halves_apart(frame, group, index)
    both = torch.stack((own.expand_as(elsewhere), elsewhere), 1)[:2]
    pairs = torch.cat((torch.stack((own + half, own - half), 1), both))
    known, _, _ = _fitted(frame, group, own[None, None])
    best = None
    for places, price in ((elsewhere[:, None], _LEAST_GAIN), (pairs, _SECOND_GAIN)):
        if len(places):
            loss, dispersion, xyz_um = _fitted(frame, group, places)
            gain = (known - loss) / dispersion - price
            if gain > (best.gain if best else 0):
                best = _Rival(index, xyz_um, gain)
    return best


def _halves_apart(frame: FittedFrame, group: Group, index: int) -> Tensor:
    """(2, 3) um: where two emitters may lie, on either side of one that looks like both.

    Emitters at +d and -d differ from two in the middle by d d^T : H, with the second derivatives H
    of the image. The matrix that fits what is left best has d along its main axes.
    """
    own = frame.xyz_um[index] - frame.centre(group)
    step = own.new_tensor(_STEP_UM)
    around = torch.cat((own + torch.diag(step), own - torch.diag(step), own[None]))
    image, slope = frame.source.images_and_gradient(around, group.shape)
    curve = (slope[:3, :3] - slope[3:6, :3]) / (2 * step[:, None, None, None])
    first, second = torch.triu_indices(3, 3)
    curve = ((curve + curve.transpose(0, 1)) / 2)[first, second]
    curve = curve * torch.where(first == second, 0.5, 1.0).to(own)[:, None, None]

    part = group.pixels
    light = (frame.electrons - frame.expected + frame.light_of(index))[part]
    weight = frame.variance[part].rsqrt()
    design = torch.cat((image[6:], slope[6, :3], curve, torch.ones_like(image[:1]))) * weight
    design = design.flatten(1).double()
    scale = design.norm(dim=1).clamp_min(1e-12)
    design = design / scale[:, None]
    normal = design @ design.mT + 1e-6 * torch.eye(len(design)).to(design)
    amount = torch.linalg.solve(normal, design @ (light * weight).flatten().double()) / scale
    spread = amount.new_zeros(3, 3)
    spread[first, second] = amount[4:10] / amount[0].clamp_min(1)
    longest = amount.new_tensor(_APART_UM)
    spread = (spread + spread.mT - spread.diagonal().diag()) / longest / longest[:, None]
    square, axis = torch.linalg.eigh(spread)
    length = square[1:].clamp(_NEAREST_PART**2, 1).sqrt()
    half: Tensor = length[:, None] * axis.mT[1:] * longest
    return half.to(own)


def _fitted(frame: FittedFrame, group: Group, places: Tensor) -> tuple[float, float, Tensor]:
    """Loss and dispersion, as of `Fit`, and place (M, 3) um of the likeliest of some rivals.

    places (N, M, 3): of the rivals of a group's first emitter; the others are fitted with them.
    """
    others, centre = list(group.members[1:]), frame.centre(group)
    count, each = places.shape[:2]
    xyz_um = torch.cat((places, frame.xyz_um[others].expand(count, -1, -1)), 1) - centre
    blur_px = xyz_um.new_full(xyz_um.shape[:2], frame.source.model.blur_px)
    blur_px[:, each:] = frame.blur_px[others]
    data, rest = frame.window(group)
    seen, known = data.expand(count, -1, -1), rest.expand(count, -1, -1)
    start = brightness(frame.source, seen, known, xyz_um, blur_px)
    for iterations in _ITERATIONS:
        found = fit(
            frame.source,
            seen[: len(start.blur_px)],
            known[: len(start.blur_px)],
            start,
            excess=frame.excess,
            iterations=iterations,
        )
        likeliest = found.loss.argsort()[:_LIKELIEST]
        start = found.emitters.rows(likeliest)
    best = likeliest[0]
    moved = found.emitters.xyz_um[best, :each] + centre
    return float(found.loss[best]), float(found.dispersion[best]), moved


def _beside(frame: FittedFrame, index: int, reach: int) -> Group:
    """An emitter and its nearest neighbours, in the window of its image."""
    row, column = frame.pixels()[index].tolist()
    apart = (frame.xyz_um[:, :2] - frame.xyz_um[index, :2]).norm(dim=1)
    near = apart.argsort()[: 1 + _TOGETHER]
    near = near[apart[near] < reach * frame.pixel_um]
    members = [index] + [other for other in near.tolist() if other != index]
    place = torch.tensor([[row, column]]).double().numpy()
    return Group(tuple(members), *window(place, reach, frame.shape), 0)


def _elsewhere(frame: FittedFrame, templates: Templates, index: int) -> Tensor:
    """(N, 3) um where else the light of an emitter could come from, the likeliest first."""
    row, column = frame.pixels()[index].tolist()
    size = templates.reach + _AROUND_PX
    rows = slice(max(0, row - size), row + size + 1)
    columns = slice(max(0, column - size), column + size + 1)
    light = frame.electrons - frame.expected + frame.light_of(index)
    score = templates.volume(light[rows, columns], frame.variance[rows, columns])
    near = torch.zeros_like(score[0], dtype=torch.bool)
    r, c = row - rows.start, column - columns.start
    near[
        max(0, r - _AROUND_PX) : r + _AROUND_PX + 1, max(0, c - _AROUND_PX) : c + _AROUND_PX + 1
    ] = 1
    peak = functional.max_pool3d(score[None], 5, 1, 2)[0]
    plane, y, x = ((score == peak) & near & (score > 0)).nonzero(as_tuple=True)
    size_px = score.new_tensor([frame.shape[1], frame.shape[0]])
    place = torch.stack((x + columns.start, y + rows.start), 1) + 0.5 - size_px / 2
    xyz_um = torch.cat((place * frame.pixel_um, templates.z_um[plane, None]), 1)
    new = (xyz_um - frame.xyz_um[index]).norm(dim=1) > _NEW_UM
    xyz_um, value = xyz_um[new], score[plane, y, x][new]
    return xyz_um[value.argsort(descending=True)[:_ELSEWHERE]]
