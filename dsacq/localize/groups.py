"""Which emitters of a frame are fitted together, and in which window of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

_LARGEST = 40  # emitters
_STEP_PX = 16  # sizes of windows are multiples, so that groups can share a batch

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Emitters fitted together, and their window of the frame: corner and size (rows, columns).

    turn: groups that overlap much have different turns, in which they are fitted.
    """

    members: tuple[int, ...]
    corner: tuple[int, int]
    shape: tuple[int, int]
    turn: int

    @property
    def pixels(self) -> tuple[slice, slice]:
        """The window."""
        (row, column), (height, width) = self.corner, self.shape
        return slice(row, row + height), slice(column, column + width)


def grouped(position_px: Floats, reach: int, shape: tuple[int, int]) -> list[Group]:
    """Groups of emitters nearer than `reach` pixels to each other, in x and in y, in chains.

    position_px (K, 2): row, column from the frame's upper-left corner. shape: of the frame. Larger
    groups are halved. Windows hold `reach` pixels around each emitter, as far as the frame goes.
    """
    count = len(position_px)
    if count == 0:
        return []
    pairs = KDTree(position_px).query_pairs(reach, p=np.inf, output_type="ndarray")
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, label = connected_components(links, directed=False)
    chains = np.split(np.argsort(label, kind="stable"), np.flatnonzero(np.diff(np.sort(label))) + 1)
    return [
        Group(tuple(part.tolist()), *window(position_px[part], reach, shape), turn)
        for chain in chains
        for turn, part in enumerate(_halved(chain, position_px))
    ]


def _halved(members: Indices, position_px: Floats) -> list[Indices]:
    if len(members) <= _LARGEST:
        return [members]
    place = position_px[members]
    axis = int(np.argmax(np.ptp(place, axis=0)))
    order = members[np.argsort(place[:, axis], kind="stable")]
    middle = len(order) // 2
    return _halved(order[:middle], position_px) + _halved(order[middle:], position_px)


def window(
    place: Floats, reach: int, shape: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Corner and size of the part of a frame within reach of places (K, 2)."""
    corner, size = [], []
    for axis in (0, 1):
        low, high = place[:, axis].min(), place[:, axis].max()
        wanted = int(np.ceil((high - low + 2 * reach + 1) / _STEP_PX)) * _STEP_PX
        pixels = min(wanted, shape[axis])
        start = round((low + high) / 2 - pixels / 2)
        corner.append(min(max(start, 0), shape[axis] - pixels))
        size.append(pixels)
    return (corner[0], corner[1]), (size[0], size[1])
