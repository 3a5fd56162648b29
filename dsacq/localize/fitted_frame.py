"""A frame with the emitters known so far: fitted in groups, joined, dropped, added."""

from collections.abc import Callable

import torch
from torch import Tensor

from dsacq.localize.groups import Group, grouped
from dsacq.localize.likelihood import KNOTS_PX, Emitters, brightness, fit
from dsacq.localize.smooth import smooth_background, smooth_images
from dsacq.physics.image_series import ImageSource

_SETTLED = 0.25  # a sweep that moves no emitter by more of its error is the last
_BORDER_PX = 5  # emitters farther outside the frame are dropped
_ALONE_UM = 1.0  # of insignificant emitters closer than this, one is dropped at a time
_SAME_SIGMAS = 3.0  # emitters less apart than this times the error of their distance are one
_SAME_UM = 0.4  # but never those farther apart
_UNUSUAL = 5.0  # times the median brightness: of these it is asked whether the data hold them
_FEW = 5  # emitters, whose median tells nothing
_OUTSHONE, _OUTSHONE_SIGMAS = 0.05, 3.0  # of an emitter's light beyond the data, and what is noise
_LIT = 0.5  # of a pixel's noise: with less light a pixel is not among emitters
_MEDIAN_SQUARE = 0.455  # of a standard normal number
_LIGHT_SEEN = 0.99  # of the squared image of an emitter, within reach
# Numbers that the jacobians of one batch may hold.
_BATCH = {"cpu": 1 << 24, "cuda": 1 << 28}


class FittedFrame:
    """A frame (H, W) of electrons, its emitters and its background.

    The dtype and device are those of the source's phase. read_variance: electrons^2, () or (H, W).
    excess: the camera multiplies. reach: as from `reach_px`. go_on: called between fits; what it
    raises ends them.
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
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        self.source, self.excess, self.reach = source, excess, reach
        self.go_on = go_on
        self.electrons = electrons.to(source.phase_rad)
        self.read_variance = torch.as_tensor(read_variance).to(self.electrons)
        self.light = torch.zeros_like(self.electrons)
        self.surface = self.electrons
        self.surface = smooth_background(self.electrons, self.variance.clamp_min(1))
        self.shape = (electrons.shape[0], electrons.shape[1])
        self.pixel_um = source.drawn_pixel_um
        none = self.electrons.new_zeros(0)
        self.xyz_um, self.sigma_um = none.view(0, 3), none.view(0, 3)
        self.brightness, self.blur_px, self.significance = none, none, none
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

    @property
    def dispersion(self) -> float:
        """How much larger than the noise the residuals among the emitters typically are.

        The median, as a few emitters may be missing or wrong; a PSF that is not quite the
        microscope's shows at all of them.
        """
        lit = self.light > _LIT * self.variance.sqrt()
        if not bool(lit.any()):
            return 1.0
        square = (self.electrons - self.expected)[lit] ** 2 / self.variance[lit]
        return float(square.median()) / _MEDIAN_SQUARE

    def add(self, xyz_um: Tensor, start: Tensor | None = None) -> None:
        """More emitters, from the frame's centre, with the electrons that fit best.

        start (K,): what to know them by, -1 by default.
        """
        low, high = self.source.optics.z_range_um
        new = xyz_um.to(self.electrons).clone()
        new[:, 2] = new[:, 2].clamp(low, high)
        count = len(new)
        blank = self.electrons.new_zeros(count)
        self.xyz_um = torch.cat((self.xyz_um, new))
        self.brightness = torch.cat((self.brightness, blank))
        self.blur_px = torch.cat((self.blur_px, blank + self.source.model.blur_px))
        self.significance = torch.cat((self.significance, blank))
        self.sigma_um = torch.cat((self.sigma_um, blank[:, None].expand(count, 3)))
        unknown = self.start.new_full((count,), -1)
        self.start = torch.cat((self.start, unknown if start is None else start))
        self._regroup()
        for batch in self._batches():
            data, rest, own = self._windows(batch)
            found = brightness(self.source, data, rest, own.xyz_um, own.blur_px)
            self._store(batch, found, self._imaged(found, batch[0].shape))

    def replace(self, index: list[int], xyz_um: list[Tensor]) -> None:
        """Others (M, 3) in the place of each of some emitters; the first is known as it was."""
        gone = torch.zeros(len(self.xyz_um), dtype=torch.bool, device=self.xyz_um.device)
        gone[index] = True
        start = [
            torch.cat((self.start[one : one + 1], self.start.new_full((len(new) - 1,), -1)))
            for one, new in zip(index, xyz_um, strict=True)
        ]
        self._keep(~gone)
        self.add(torch.cat(xyz_um), torch.cat(start))

    def pixels(self) -> Tensor:
        """(K, 2) row and column of the pixel of each emitter, the nearest in the frame."""
        size = self.xyz_um.new_tensor([self.shape[0], self.shape[1]])
        pixel = (self.xyz_um[:, [1, 0]] / self.pixel_um + size / 2).long()
        return torch.minimum(pixel.clamp_min(0), size.long() - 1)

    def window(self, group: Group) -> tuple[Tensor, Tensor]:
        """Data and what others than the group are expected to give, as `fit` wants them."""
        part = group.pixels
        own = self._imaged(self._emitters([group]), group.shape)[0]
        seen = self.electrons + self.read_variance
        return seen[part], (self.light + self.surface + self.read_variance)[part] - own

    def centre(self, group: Group) -> Tensor:
        """(3,) um of the group's window, from the frame's centre."""
        return self._centres([group])[0]

    def light_of(self, index: int) -> Tensor:
        """(H, W) electrons expected of one emitter."""
        one = slice(index, index + 1)
        image = self.source.images(self.xyz_um[one], self.shape, self.blur_px[one])[0]
        return image * self.brightness[index]

    def sweep(self, iterations: int) -> float:
        """Fit every group once; returns how far an emitter moved at most, over its error."""
        before = self.xyz_um
        for batch in self._batches():
            self.go_on()
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
        self.surface = smooth_background(self.electrons - self.light, self.variance, KNOTS_PX)

    def prune(self, significance: float) -> bool:
        """Join emitters that the likelihood cannot tell apart; drop those without light.

        Returns whether any were, as the rest then need another sweep.
        """
        gone = self._outside() | self._impossible()
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

    def _impossible(self) -> Tensor:
        """Emitters that alone outshine the data, which only a background below zero makes up for.

        A wide image and a smooth background can cancel each other; what is left is no emitter.
        """
        gone = torch.zeros(len(self.xyz_um), dtype=torch.bool, device=self.xyz_um.device)
        if len(gone) < _FEW:
            return gone
        unusual = self.brightness > _UNUSUAL * self.brightness.median()
        most = self.electrons + _OUTSHONE_SIGMAS * self.variance.sqrt()
        for index in unusual.nonzero().flatten().tolist():
            beyond = (self.light_of(index) - most).clamp_min(0).sum()
            gone[index] = beyond > _OUTSHONE * self.brightness[index]
        return gone

    def _joined(self, members: Tensor, covariance: Tensor) -> Tensor:
        """Which of the members now stand in for nothing, as a neighbour took their light."""
        gone = torch.zeros_like(members, dtype=torch.bool)
        xyz_um, light = self.xyz_um[members], self.brightness[members]
        distance = (xyz_um[:, None] - xyz_um).norm(dim=2)
        close = torch.triu(distance < _SAME_UM, diagonal=1).nonzero().tolist()
        blocks = covariance.reshape(len(members), 5, len(members), 5)
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
        self.brightness, self.blur_px = self.brightness[rows], self.blur_px[rows]
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
            numbers = 6 * each * shape[0] * shape[1]
            at_once = max(1, _BATCH[self.electrons.device.type] // numbers)
            batches += [groups[i : i + at_once] for i in range(0, len(groups), at_once)]
        return batches

    def _emitters(self, batch: list[Group]) -> Emitters:
        like = self.electrons
        count = len(smooth_images(batch[0].shape, KNOTS_PX, like.dtype, like.device))
        members = torch.tensor([group.members for group in batch], device=self.xyz_um.device)
        return Emitters(
            self.xyz_um[members] - self._centres(batch)[:, None],
            self.blur_px[members],
            self.brightness[members],
            self.electrons.new_zeros(len(batch), count),
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
            part = group.pixels
            data.append(seen[part])
            rest.append(expected[part] - self._light.get(group, 0))
        return torch.stack(data), torch.stack(rest), self._emitters(batch)

    def _imaged(self, emitters: Emitters, shape: tuple[int, int]) -> Tensor:
        images = self.source.images(
            emitters.xyz_um.flatten(0, 1), shape, emitters.blur_px.flatten()
        )
        images = images * emitters.electrons.flatten()[:, None, None]
        return images.view(*emitters.electrons.shape, *shape).sum(1)

    def _store(self, batch: list[Group], emitters: Emitters, light: Tensor) -> None:
        members = torch.tensor([group.members for group in batch], device=self.xyz_um.device)
        # copies, so that tensors handed out before stay as they were
        self.xyz_um, self.brightness = self.xyz_um.clone(), self.brightness.clone()
        self.blur_px = self.blur_px.clone()
        self.xyz_um[members] = emitters.xyz_um + self._centres(batch)[:, None]
        self.brightness[members] = emitters.electrons
        self.blur_px[members] = emitters.blur_px
        for group, own in zip(batch, light, strict=True):
            self.light[group.pixels] += own - self._light.get(group, 0)
            self._light[group] = own

    def _keep_errors(self, batch: list[Group], emitters: Emitters, covariance: Tensor) -> None:
        members = torch.tensor([group.members for group in batch], device=self.xyz_um.device)
        variance = covariance.diagonal(dim1=1, dim2=2)
        error = variance.sqrt().view(*emitters.electrons.shape, 5)
        self.sigma_um[members] = error[..., :3]
        self.significance[members] = emitters.electrons / error[..., 4]
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
