"""Small files that announce far more than they hold."""

import json
import math
import struct
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile

SIDE = 1_000_000
FEW_BYTES = 200_000


def npy_header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def npy(path: Path) -> None:
    path.write_bytes(npy_header((SIDE, SIDE)) + b"\0" * 800)


def npz(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("steps.npy", npy_header((1,), "<i8") + b"\0" * 8)
        archive.writestr("levels.npy", npy_header((1, SIDE, SIDE), "|u1") + b"\0" * 800)


def tiff(path: Path) -> None:
    """A page of 8 x 8 pixels whose tags say 10^6 x 10^6, stored by deflate."""
    tifffile.imwrite(path, np.zeros((8, 8), np.float32), compression="zlib", rowsperstrip=8)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        places = [file.pages[0].tags[code].offset for code in (256, 257, 278)]
    for place in places:
        content[place + 2 : place + 12] = struct.pack("<HII", 4, 1, SIDE)
    path.write_bytes(content)


def mat_compressed(path: Path) -> None:
    """One array of 4 GB announced in the head of a compressed element."""
    head = struct.pack("<II", 14, 2**32 - 16) + struct.pack("<IIII", 6, 8, 6, 0)
    head += struct.pack("<IIii", 5, 8, 30_000, 17_000) + struct.pack("<II", 1 | 4 << 16, 0)
    packed = zlib.compress(head)
    content = b"MATLAB 5.0".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    path.write_bytes(content + struct.pack("<II", 15, len(packed)) + packed)


def mat_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("mask", (8000, 8000), "f8", chunks=(100, 100))


def hdf5_of_huge_pieces(path: Path) -> None:
    """Many equal rows, in one piece of 1 GB that deflate made small."""
    kind = np.dtype([("frame", "u4"), ("x", "f4"), ("y", "f4")])
    with h5py.File(path, "w") as file:
        rows = 30_000_000
        file.create_dataset("locs", (rows,), kind, chunks=(rows,), compression="gzip")


def parquet(path: Path) -> None:
    """Equal rows, that shrink as no localizations do."""
    same = pa.array(np.zeros(8_000_000))
    names = ("frame", "x_um", "y_um", "z_um", "photons")
    pq.write_table(pa.table(dict.fromkeys(names, same)), path)


def safetensors(path: Path, told: dict[str, str], shapes: dict[str, tuple[int, ...]]) -> None:
    """A header that announces tensors of these shapes, and a few zeros."""
    header: dict[str, object] = {"__metadata__": told}
    place = 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        offsets = [place, place + size]
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": offsets}
        place += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 1000)
