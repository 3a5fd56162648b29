"""Frames into a TIFF file that is readable at every moment.

Each frame has a directory of its own: after a crash or on a full disk, all that was written before
can be read. BigTIFF, uncompressed.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import DTypeLike

from dsacq.errors import FileError
from dsacq.files.binary import Image
from dsacq.files.reading import reading, reason

_MOST_FRAMES = 10**12
_PARTLY = "not all of a frame was taken; the disk is perhaps full"


class TiffPages:
    """A TIFF file that grows frame by frame.

    shape: (rows, columns). metadata: what JSON can hold; `finish` writes it into the file as
    OME-XML, which must tell the number of frames. `pixel_um` in it is also the pixel size that Fiji
    shows. An existing file is replaced. Methods raise FileError when the file cannot be written.
    """

    def __init__(
        self, path: Path, shape: tuple[int, int], dtype: DTypeLike, metadata: Mapping[str, Any]
    ) -> None:
        self.path, self.shape, self.dtype = path, shape, np.dtype(dtype)
        self.count = 0
        self._metadata = dict(metadata)
        # only the place of the OME-XML can be kept on the first page
        self._options: dict[str, Any] = {"description": b" " * len(self._ome_xml(_MOST_FRAMES))}
        if pixel_um := self._metadata.get("pixel_um"):
            self._options["resolution"] = (1e4 / pixel_um, 1e4 / pixel_um)
            self._options["resolutionunit"] = "CENTIMETER"
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise self._failure(error) from error
        self._tiff = tifffile.TiffWriter(self._file, bigtiff=True, ome=False)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._file.tell()

    def write(self, frame: Image) -> None:
        """Append a frame of the file's shape and dtype; it is with the system on return."""
        if frame.shape != self.shape or frame.dtype != self.dtype:
            raise ValueError(
                f"frame: {frame.dtype} {frame.shape}, expected {self.dtype} {self.shape}"
            )
        try:
            self._tiff.write(
                frame,
                photometric="minisblack",
                contiguous=False,
                metadata=None,
                software="dsacq",
                **self._options,
            )
            self._file.flush()
            # NumPy is silent when the last bytes of an array find no room
            if os.fstat(self._file.fileno()).st_size < self._file.tell():
                raise OSError(_PARTLY)
        except OSError as error:
            raise self._failure(error) from error
        self._options["description"] = None
        self.count += 1

    def sync(self) -> None:
        """Wait until the disk has all that was written; may run beside `write`."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Leave the file as it is: a plain TIFF stack. Does no harm twice."""
        try:
            try:
                self._tiff.close()
            finally:
                self._file.close()
        except OSError as error:
            raise self._failure(error) from error

    def finish(self) -> None:
        """Close, and describe the frames, if there are any, in OME-XML."""
        self.close()
        if self.count:
            describe(self.path, self._ome_xml(self.count))

    def _ome_xml(self, frames: int) -> bytes:
        return ome_xml(self.shape, self.dtype, frames, self._metadata)

    def _failure(self, error: OSError) -> FileError:
        return FileError(f"{self.path}: cannot be written ({error.strerror or _PARTLY}).")


def is_described(path: Path, frames: int) -> bool:
    """Whether the first page of a file has OME-XML of so many frames. Raises FileError."""
    with reading(path, "a TIFF file"):
        return f'SizeT="{frames}"' in (tifffile.tiffcomment(path) or "")


def describe(path: Path, xml: bytes) -> None:
    """Put OME-XML on the first page, where its place was kept. Raises FileError."""
    try:
        tifffile.tiffcomment(path, xml)
    except Exception as error:  # of any kind, where the page is damaged
        raise FileError(f"{path}: cannot be described ({reason(error)}).") from error


def ome_xml(
    shape: tuple[int, int], dtype: DTypeLike, frames: int, metadata: Mapping[str, Any]
) -> bytes:
    """The description of a file of frames through time; metadata as JSON, and as sizes."""
    size: dict[str, Any] = {}
    if pixel_um := metadata.get("pixel_um"):
        size = {"PhysicalSizeX": pixel_um, "PhysicalSizeY": pixel_um}
        size |= {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    ome = tifffile.OmeXml(Creator="dsacq")
    ome.addimage(
        np.dtype(dtype),
        (frames, *shape),
        (frames, 1, 1, *shape, 1),
        axes="TYX",
        Description=json.dumps(dict(metadata)),
        **size,
    )
    return bytes(ome.tostring(), "utf-8")
