"""Cutting a frame into tiles so that the tiled result equals the whole one."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

from torch import Tensor


@dataclass(frozen=True)
class Span:
    """Pixels [start, stop) of one axis."""

    start: int
    stop: int

    def split(self, size: int) -> list["Span"]:
        """Parts of about equal length, none longer than `size`."""
        if size < 1:
            raise ValueError(f"size={size}: expected at least 1")
        length = self.stop - self.start
        count = -(-length // size)
        edges = [self.start + index * length // count for index in range(count + 1)]
        return [Span(*edge) for edge in pairwise(edges)]

    def grown(self, halo: int, length: int) -> "Span":
        """With a halo that ends at the frame's border, where a network's own padding takes over."""
        return Span(max(0, self.start - halo), min(length, self.stop + halo))

    def within(self, outer: "Span") -> slice:
        """The same pixels as a slice of an array that holds `outer`."""
        return slice(self.start - outer.start, self.stop - outer.start)


@dataclass(frozen=True)
class Tile:
    """A rectangle of pixels."""

    rows: Span
    columns: Span

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> "Tile":
        """All of a frame of `shape` (rows, columns)."""
        return cls(Span(0, shape[0]), Span(0, shape[1]))

    def split(self, size: int) -> Iterator["Tile"]:
        """Tiles of at most `size` by `size`, row by row."""
        for rows, columns in product(self.rows.split(size), self.columns.split(size)):
            yield Tile(rows, columns)

    def grown(self, halo: int, shape: tuple[int, int]) -> "Tile":
        """With a halo, clipped to a frame of `shape`."""
        return Tile(self.rows.grown(halo, shape[0]), self.columns.grown(halo, shape[1]))

    def aligned(self, step: int) -> "Tile":
        """Begun earlier where needed, at a multiple of `step`."""
        rows, columns = (
            Span(span.start - span.start % step, span.stop) for span in (self.rows, self.columns)
        )
        return Tile(rows, columns)

    def holds(self, row: Tensor, column: Tensor) -> Tensor:
        """Whether pixels lie in it."""
        down = (row >= self.rows.start) & (row < self.rows.stop)
        return down & (column >= self.columns.start) & (column < self.columns.stop)

    def within(self, outer: "Tile") -> tuple[slice, slice]:
        """The same pixels as slices of an array that holds `outer`."""
        return self.rows.within(outer.rows), self.columns.within(outer.columns)
