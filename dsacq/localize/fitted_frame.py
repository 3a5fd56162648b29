"""A frame with the emitters known so far: fitted in groups, joined, dropped, added."""

import torch
from torch import Tensor

from dsacq.localize.groups import Group, grouped
from dsacq.localize.likelihood import Emitters, brightness, fit
from dsacq.localize.smooth import smooth_background
from dsacq.physics.image_series import ImageSource

_SETTLED = 0.25  # a sweep that moves no emitter by more of its error is the last
_BORDER_PX = 5  # emitters farther outside the frame are dropped
_ALONE_UM = 1.0  # of insignificant emitters closer than this, one is dropped at a time
_SAME_SIGMAS = 3.0  # emitters less apart than this times the error of their distance are one
_SAME_UM = 0.4  # but never those farther apart
_LIGHT_SEEN = 0.99  # of the squared image of an emitter, within reach
# Numbers that the jacobians of one batch may hold.
_BATCH = {"cpu": 1 << 24, "cuda": 1 << 28}


class FittedFrame:
    """A frame (H, W) of electrons, its emitters and its background.

    The dtype and device are those of the source's phase. read_variance: electrons^2, () or (H, W).
    excess: the camera multiplies. reach: as from `reach_px`.
    `light` and `surface` (H, W) are what is expected of emitters and background, in electrons;
    the other tensors have a row per emitter, x and y from the frame's centre.
    """

    def __init__(
        self,
        electrons: Tensor,
        source: ImageSource,
        *,
        read_variance: Tensor | float,
        excess: bool,
        reach: int,
    ) -> None:
        self.source, self.excess, self.reach = source, excess, reach
        self.electrons = electrons.to(source.phase_rad)
        self.read_variance = torch.as_tensor(read_variance).to(self.electrons)
        self.light = torch.zeros_like(self.electrons)
        self.surface = self.electrons
        self.surface = smooth_background(self.electrons, self.variance.clamp_min(1))
        self.shape = (electrons.shape[0], electrons.shape[1])
        self.pixel_um = source.drawn_pixel_um
        none = self.electrons.new_zeros(0)
        self.xyz_um, self.sigma_um = none.view(0, 3), none.view(0, 3)
        self.brightness, self.level, self.significance = none, none, none
        self.start = none.long()
        self._groups: list[Group] = []
        self._light: dict[Group, Tensor] = {}
        self._covariance: dict[Group, Tensor] = {}

    @property
    def expected(self) -> Tensor:
        """(H, W) electrons, nowhere below a little."""
        return (self.light + self.surface).clamp_min(1e-3)

    @property
    def variance(self) -> Tensor:
        """(H, W) of the noise, electrons^2."""
        return self.expected * (2 if self.excess else 1) + self.read_variance

    def add(self, xyz_um: Tensor) -> None:
        """More emitters, from the frame's centre, with the electrons that fit best."""
        low, high = self.source.optics.z_range_um
        new = xyz_um.to(self.electrons).clone()
        new[:, 2] = new[:, 2].clamp(low, high)
        known, count = len(self.xyz_um), len(new)
        blank = self.electrons.new_zeros(count)
        self.xyz_um = torch.cat((self.xyz_um, new))
        self.brightness = torch.cat((self.brightness, blank))
        self.level = torch.cat((self.level, blank))
        self.significance = torch.cat((self.significance, blank))
        self.sigma_um = torch.cat((self.sigma_um, blank[:, None].expand(count, 3)))
        index = torch.arange(known, known + count, device=blank.device)
        self.start = torch.cat((self.start, index))
        self._regroup()
        for batch in self._batches():
            data, rest, start = self._windows(batch)
            found = brightness(self.source, data, rest, start.xyz_um)
            self._store(batch, found, self._imaged(found, batch[0].shape))

    def sweep(self, iterations: int) -> float:
        """Fit every group once; returns how far an emitter moved at most, over its error."""
        before = self.xyz_um
        for batch in self._batches():
            data, rest, start = self._windows(batch)
            found = fit(self.source, data, rest, start, excess=self.excess, iterations=iterations)
            self._store(batch, found.emitters, found.light)
            self._keep_errors(batch, found.emitters, found.covariance)
        moved = (self.xyz_um - before).abs() / self.sigma_um
        return float(moved.max()) if len(moved) else 0.0

    def settle(self, significance: float, iterations: int, sweeps: int) -> None:
        """Sweep, prune and follow the background until nothing changes, or for `sweeps`."""
        for _ in range(sweeps):
            moved = self.sweep(iterations)
            self.update_surface()
            if not self.prune(significance) and moved < _SETTLED:
                break

    def update_surface(self) -> None:
        """The background once more, from what the emitters leave."""
        self.surface = smooth_background(self.electrons - self.light, self.variance)

    def prune(self, significance: float) -> bool:
        """Join emitters that the likelihood cannot tell apart; drop those without light.

        Returns whether any were, as the rest then need another sweep.
        """
        gone = self._outside()
        for group in self._groups:
            members = torch.tensor(group.members, device=gone.device)
            gone[members] |= self._joined(members, self._covariance[group])
            gone[members] |= self._insignificant(members, significance)
        if not bool(gone.any()):
            return False
        self._keep(~gone)
        self._regroup()
        return True

    def _outside(self) -> Tensor:
        size = self.xyz_um.new_tensor([self.shape[1], self.shape[0]])
        limit = (size / 2 + _BORDER_PX) * self.pixel_um
        return (self.xyz_um[:, :2].abs() > limit).any(1)

    def _joined(self, members: Tensor, covariance: Tensor) -> Tensor:
        """Which of the members now stand in for nothing, as a neighbour took their light."""
        gone = torch.zeros_like(members, dtype=torch.bool)
        xyz_um, light = self.xyz_um[members], self.brightness[members]
        distance = (xyz_um[:, None] - xyz_um).norm(dim=2)
        close = torch.triu(distance < _SAME_UM, diagonal=1).nonzero().tolist()
        blocks = covariance[:-1, :-1].reshape(len(members), 4, len(members), 4)
        for i, j in close:
            apart = (xyz_um[i] - xyz_um[j]).double()
            error = blocks[i, :3, i, :3] + blocks[j, :3, j, :3]
            error = error - blocks[i, :3, j, :3] - blocks[j, :3, i, :3]
            along = apart @ error.double() @ apart  # variance along the line, times its length^2
            blurred = apart.norm() ** 4 < _SAME_SIGMAS**2 * along
            if not blurred or gone[i] or gone[j]:
                continue
            share = light[j] / (light[i] + light[j])
            self.xyz_um[members[i]] = xyz_um[i] + share * (xyz_um[j] - xyz_um[i])
            self.brightness[members[i]] = light[i] + light[j]
            gone[j] = True
        return gone

    def _insignificant(self, members: Tensor, significance: float) -> Tensor:
        own = self.significance[members]
        distance = torch.cdist(self.xyz_um[members, :2], self.xyz_um[members, :2])
        weaker = (own[None, :] < own[:, None]) & (distance < _ALONE_UM)
        return (own < significance) & ~weaker.any(1)

    def _keep(self, rows: Tensor) -> None:
        self.xyz_um, self.sigma_um = self.xyz_um[rows], self.sigma_um[rows]
        self.brightness, self.level = self.brightness[rows], self.level[rows]
        self.significance, self.start = self.significance[rows], self.start[rows]

    def _regroup(self) -> None:
        half = self.xyz_um.new_tensor([self.shape[0], self.shape[1]]) / 2
        position = self.xyz_um[:, [1, 0]] / self.pixel_um + half
        self._groups = grouped(position.double().cpu().numpy(), self.reach, self.shape)
        self._light, self._covariance = {}, {}
        self.light = torch.zeros_like(self.electrons)
        for batch in self._batches():
            emitters = self._emitters(batch)
            self._store(batch, emitters, self._imaged(emitters, batch[0].shape))

    def _batches(self) -> list[list[Group]]:
        """Groups of equal size and window whose turn is the same, as many as memory holds."""
        alike: dict[tuple[int, int, tuple[int, int]], list[Group]] = {}
        for group in self._groups:
            alike.setdefault((group.turn, len(group.members), group.shape), []).append(group)
        batches = []
        for (_, each, shape), groups in alike.items():
            numbers = 5 * each * shape[0] * shape[1]
            at_once = max(1, _BATCH[self.electrons.device.type] // numbers)
            batches += [groups[i : i + at_once] for i in range(0, len(groups), at_once)]
        return batches

    def _emitters(self, batch: list[Group]) -> Emitters:
        members = torch.tensor([group.members for group in batch], device=self.xyz_um.device)
        return Emitters(
            self.xyz_um[members] - self._centres(batch)[:, None],
            self.brightness[members],
            self.level[members[:, 0]],
        )

    def _centres(self, batch: list[Group]) -> Tensor:
        """(G, 3) of the windows, from the frame's centre."""
        centres = [
            (
                group.corner[1] + (group.shape[1] - self.shape[1]) / 2,
                group.corner[0] + (group.shape[0] - self.shape[0]) / 2,
                0.0,
            )
            for group in batch
        ]
        return torch.tensor(centres).to(self.xyz_um) * self.pixel_um

    def _windows(self, batch: list[Group]) -> tuple[Tensor, Tensor, Emitters]:
        """Of each group: data and what others are expected to give, as `fit` wants them."""
        data, rest = [], []
        seen, expected = self.electrons + self.read_variance, self.light + self.surface
        expected = expected + self.read_variance
        for group in batch:
            part = _part(group)
            data.append(seen[part])
            rest.append(expected[part] - self._light.get(group, 0))
        return torch.stack(data), torch.stack(rest), self._emitters(batch)

    def _imaged(self, emitters: Emitters, shape: tuple[int, int]) -> Tensor:
        images = self.source.images(emitters.xyz_um.flatten(0, 1), shape)
        images = images * emitters.electrons.flatten()[:, None, None]
        return images.view(*emitters.electrons.shape, *shape).sum(1)

    def _store(self, batch: list[Group], emitters: Emitters, light: Tensor) -> None:
        members = torch.tensor([group.members for group in batch], device=self.xyz_um.device)
        # copies, so that tensors handed out before stay as they were
        self.xyz_um, self.brightness = self.xyz_um.clone(), self.brightness.clone()
        self.level = self.level.clone()
        self.xyz_um[members] = emitters.xyz_um + self._centres(batch)[:, None]
        self.brightness[members] = emitters.electrons
        self.level[members] = emitters.level[:, None].expand_as(emitters.electrons)
        for group, own in zip(batch, light, strict=True):
            self.light[_part(group)] += own - self._light.get(group, 0)
            self._light[group] = own

    def _keep_errors(self, batch: list[Group], emitters: Emitters, covariance: Tensor) -> None:
        members = torch.tensor([group.members for group in batch], device=self.xyz_um.device)
        variance = covariance.diagonal(dim1=1, dim2=2)[:, :-1]
        error = variance.sqrt().view(*emitters.electrons.shape, 4)
        self.sigma_um[members] = error[..., :3]
        self.significance[members] = emitters.electrons / error[..., 3]
        for group, own in zip(batch, covariance, strict=True):
            self._covariance[group] = own


def reach_px(source: ImageSource, largest: int = 61) -> int:
    """How far from an emitter, in pixels, its image matters at any depth of the optics' range."""
    low, high = source.optics.z_range_um
    xyz_um = torch.zeros(9, 3).to(source.phase_rad)
    xyz_um[:, 2] = torch.linspace(low, high, len(xyz_um))
    square = source.images(xyz_um, (2 * largest + 1, 2 * largest + 1)) ** 2
    total = square.sum((1, 2))
    for reach in range(largest):
        inside = slice(largest - reach, largest + reach + 1)
        if bool((square[:, inside, inside].sum((1, 2)) > _LIGHT_SEEN * total).all()):
            return reach
    return largest


def _part(group: Group) -> tuple[slice, slice]:
    (row, column), (height, width) = group.corner, group.shape
    return slice(row, row + height), slice(column, column + width)
