"""Raw .dax movies of the Zhuang lab (storm-control, storm-analysis), with their .inf beside.

Source: storm_analysis/sa_library/datawriter.py and datareader.py: 16-bit pixels, rows first, no
header; "frame dimensions = COLUMNS x ROWS".
"""

import re
from pathlib import Path

import numpy as np

from dsacq.errors import FileError
from dsacq.files.binary import BinaryFile, Image, checked_shape

MOST_TEXT = 2**20


class Dax:
    """The frames of a .dax movie."""

    def __init__(self, path: Path) -> None:
        information = path.with_suffix(".inf")
        if not information.is_file():
            raise FileError(
                f"{path}: has no {information.name} beside it, which tells the size of its frames."
            )
        text = _text(information)
        size = re.search(r"frame dimensions = (\d{1,9}) x (\d{1,9})\b", text)
        number = re.search(r"number of frames = (\d{1,12})\b", text)
        order = re.search(r" (big|little) endian", text)
        if not (size and number and order):
            raise FileError(
                f"{information}: does not tell the frame dimensions, the number of frames and the "
                "byte order."
            )
        self.dtype = np.dtype(">u2" if order[1] == "big" else "<u2")
        self.shape = checked_shape(information, int(size[2]), int(size[1]), self.dtype)
        self.count = int(number[1])
        self.metadata = {"format": "dax", "axes": "TYX"}
        self._file = BinaryFile(path)

    def read(self, index: int) -> Image:
        """(rows, columns) frame in the byte order of the file. Raises FileError."""
        frame_bytes = self.shape[0] * self.shape[1] * self.dtype.itemsize
        return self._file.pixels(index * frame_bytes, self.shape, self.dtype)

    def close(self) -> None:
        self._file.close()


def _text(path: Path) -> str:
    file = BinaryFile(path)
    try:
        return file.read(0, min(file.size, MOST_TEXT)).decode(errors="replace")
    finally:
        file.close()
