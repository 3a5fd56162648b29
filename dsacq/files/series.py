"""Movies in several TIFF files: Micro-Manager's continued files, and folders of frames."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from pathlib import Path

from dsacq.errors import FileError
from dsacq.files.binary import Image
from dsacq.files.tiff import TiffStack

ENDINGS = (".tif", ".tiff")
MOST_OPEN = 8
MICROMANAGER = re.compile(
    r"(?P<stem>.*MMStack.*?)(_(?P<part>[1-9]\d*))?(?P<ending>\.ome\.tiff?)", re.IGNORECASE
)


class Series:
    """The frames of several TIFF files, one file after another.

    Where a file with many pages cannot be read to its end, the series ends there with a lost frame,
    because the frames after it could not be counted.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._open: dict[int, TiffStack] = {}
        first = self._stack(0)
        self.shape, self.dtype, self.metadata = first.shape, first.dtype, first.metadata
        self._starts: list[int] = []  # of each file, its first frame
        self.count = 0
        try:
            self._count_frames(first)
        except FileError:
            self.close()
            raise

    def read(self, index: int) -> Image:
        """(rows, columns) frame in native byte order. Raises FileError."""
        number = bisect_right(self._starts, index) - 1
        stack = self._stack(number)
        self._refuse_other_kind(stack, number)
        return stack.read(index - self._starts[number])

    def close(self) -> None:
        for stack in self._open.values():
            stack.close()

    def _stack(self, number: int) -> TiffStack:
        if number not in self._open:
            if len(self._open) == MOST_OPEN:
                self._open.pop(next(iter(self._open))).close()
            self._open[number] = TiffStack(self._paths[number])
        return self._open[number]

    def _count_frames(self, first: TiffStack) -> None:
        single = first.count == 1
        size, slack = _size(self._paths[0]), min(1024, first.frame_bytes // 2)
        for number, path in enumerate(self._paths):
            self._starts.append(self.count)
            self.count += 1
            if single and first.contiguous and abs(_size(path) - size) <= slack:
                continue  # a file of the same length has one frame as well: thousands stay closed
            try:
                stack = self._stack(number)
            except FileError:  # told when its frame is asked for
                if single:
                    continue
                return
            self._refuse_other_kind(stack, number)
            self.count += stack.count - 1
            if not stack.complete:
                return

    def _refuse_other_kind(self, stack: TiffStack, number: int) -> None:
        if stack.shape != self.shape or stack.dtype != self.dtype:
            raise FileError(
                f"{self._paths[number]}: has frames of {stack.shape[0]} x {stack.shape[1]} pixels, "
                f"type {stack.dtype.name}, but {self._paths[0].name} has {self.shape[0]} x "
                f"{self.shape[1]}, type {self.dtype.name}; a movie needs frames of one kind."
            )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def tiff_files(folder: Path) -> list[Path]:
    """The TIFF files of a folder in natural order: frame2 before frame10. Raises FileError."""
    try:
        names = [path for path in folder.iterdir() if path.suffix.lower() in ENDINGS]
    except OSError as error:
        raise FileError(f"{folder}: cannot be read ({error.strerror or error}).") from None
    return sorted((path for path in names if not path.name.startswith(".")), key=natural_order)


def natural_order(path: Path) -> list[str | int]:
    """A sorting key that counts in numbers within names."""
    pieces = re.split(r"([0-9]+)", path.name.lower())
    return [int(piece) if place % 2 else piece for place, piece in enumerate(pieces)]


def micromanager_sets(paths: Iterable[Path]) -> list[dict[int, Path]]:
    """The files of each Micro-Manager recording or position among the paths, by their number.

    Beyond 4 GB `x_MMStack_Pos0.ome.tif` (number 0) goes on in `x_MMStack_Pos0_1.ome.tif`, then _2.
    """
    names = {path.name: path for path in paths}
    sets: dict[str, dict[int, Path]] = {}
    for name, path in names.items():
        if found := MICROMANAGER.fullmatch(name):
            start = found["stem"] + found["ending"]
            if start in names:
                sets.setdefault(start, {})[int(found["part"] or 0)] = path
            else:  # the number belongs to the name of the position
                sets[name] = {0: path}
    return list(sets.values())


def micromanager_order(parts: dict[int, Path]) -> list[Path]:
    """The files of one recording in order. Raises FileError where one is missing."""
    for number in range(len(parts)):
        if number not in parts:
            raise FileError(
                f"{parts[0]}: its continuation number {number} is missing beside it; without that "
                "file the frames cannot be numbered."
            )
    return [parts[number] for number in range(len(parts))]
