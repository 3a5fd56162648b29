"""Small movies in every format that is read, written as the programs in question write them."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

Frames = NDArray[Any]  # (frames, rows, columns)
Writer = Callable[[Path, Frames], Path]  # a folder and frames -> what to open


def random_frames(count: int = 7, rows: int = 21, columns: int = 34, seed: int = 0) -> Frames:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 2**16, (count, rows, columns), dtype=np.uint16)


def with_tifffile(name: str = "movie.tif", **options: Any) -> Writer:
    def write(folder: Path, frames: Frames) -> Path:
        tifffile.imwrite(folder / name, frames, photometric="minisblack", **options)
        return folder / name

    return write


def page_by_page(folder: Path, frames: Frames) -> Path:
    with tifffile.TiffWriter(folder / "movie.tif", bigtiff=True, ome=False) as tiff:
        for number, frame in enumerate(frames):
            text = "x" * (number % 5)  # so that pages differ in length
            tiff.write(
                frame, contiguous=False, metadata=None, photometric="minisblack", description=text
            )
    return folder / "movie.tif"


def imagej_one_directory(folder: Path, frames: Frames) -> Path:
    """What ImageJ writes above 4 GB: big-endian, one directory, then all frames."""
    count, rows, columns = frames.shape
    text = f"ImageJ=1.54f\nimages={count}\nframes={count}\nfinterval=0.05\n".encode() + b"\0"
    pixels = 200 + len(text)
    tags = [
        (256, 4, 1, columns),
        (257, 4, 1, rows),
        (258, 3, 1, 16 << 16),
        (262, 3, 1, 1 << 16),
        (270, 2, len(text), 200),
        (273, 4, 1, pixels),
        (277, 3, 1, 1 << 16),
        (278, 4, 1, rows),
        (279, 4, 1, rows * columns * 2),
    ]
    start = struct.pack(">2sHIH", b"MM", 42, 8, len(tags))
    start += b"".join(struct.pack(">HHII", *tag) for tag in tags) + struct.pack(">I", 0)
    path = folder / "stack.tif"
    path.write_bytes(start.ljust(200, b"\0") + text + frames.astype(">u2").tobytes())
    return path


def micromanager(folder: Path, frames: Frames, frames_per_file: int = 3) -> Path:
    """A recording of Micro-Manager that goes on in further files, with its OME-XML cut off."""
    for part in range(-(-len(frames) // frames_per_file)):
        name = "run_1_MMStack_Pos0" + (f"_{part}" if part else "") + ".ome.tif"
        chosen = frames[part * frames_per_file : (part + 1) * frames_per_file]
        (folder / name).write_bytes(micromanager_file(chosen))
    return folder / "run_1_MMStack_Pos0.ome.tif"


def micromanager_file(frames: Frames) -> bytes:
    """Header with index map and summary; then directory, pixels and JSON of each frame in turn."""
    summary = json.dumps({"Prefix": "run", "ChNames": ["Cam"]}).encode()
    data = struct.pack("<2sHI", b"II", 42, 40 + len(summary))
    data += struct.pack("<8I", 54773648, 0, 483765892, 0, 99384722, 0, 2355492, len(summary))
    data += summary
    texts = [
        b'<?xml version="1.0"?><OME><Image ID="Image:0"><Pixels SizeT="99" PhysicalSizeX="0.1"'
    ]
    texts += [b"ImageJ=1.4\nimages=99\nframes=99\n"]
    for number, frame in enumerate(frames):
        about = {"PixelSizeUm": 0.1, "Exposure-ms": 30, "Camera": "Cam", "Frame": number * 999}
        metadata = json.dumps(about).encode() + b"\0"
        after = len(data) + 2 + 12 * 11 + 4
        pixels = after + (sum(map(len, texts)) if number == 0 else 0)
        after_pixels = pixels + frame.nbytes
        tags = [
            (256, 4, 1, frame.shape[1]),
            (257, 4, 1, frame.shape[0]),
            (258, 3, 1, 16),
            (259, 3, 1, 1),
            (262, 3, 1, 1),
            (270, 2, len(texts[0]), after),
            (270, 2, len(texts[1]), after + len(texts[0])),
            (273, 4, 1, pixels),
            (278, 3, 1, frame.shape[0]),
            (279, 4, 1, frame.nbytes),
            (51123, 2, len(metadata), after_pixels),
        ]
        if number:  # only the first page has descriptions
            tags[5:7] = [(277, 3, 1, 1), (296, 3, 1, 3)]
        following = 0 if number == len(frames) - 1 else after_pixels + len(metadata)
        data += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        data += struct.pack("<I", following) + (b"".join(texts) if number == 0 else b"")
        data += frame.astype("<u2").tobytes() + metadata
    return data


def ndtiff(folder: Path, frames: Frames, frames_per_file: int = 4) -> Path:
    """An NDTiff folder after its specification (version 3)."""
    index = b""
    for part in range(-(-len(frames) // frames_per_file)):
        name = "run_NDTiffStack" + (f"_{part}" if part else "") + ".tif"
        data = bytearray(struct.pack("<2sHI5I", b"II", 42, 30, 483729, 3, 3, 2355492, 2) + b"{}")
        chosen = range(part * frames_per_file, min((part + 1) * frames_per_file, len(frames)))
        for number in chosen:
            frame = frames[number]
            metadata = json.dumps({"PixelSizeUm": 0.1, "Exposure": 30, "Core-Camera": "Cam"})
            pixels = len(data) + 2 + 12 * 6 + 4
            after = pixels + frame.nbytes + len(metadata)
            tags = [
                (256, 4, 1, frame.shape[1]),
                (257, 4, 1, frame.shape[0]),
                (258, 3, 1, frame.itemsize * 8),
                (262, 3, 1, 1),
                (273, 4, 1, pixels),
                (51123, 2, len(metadata), pixels + frame.nbytes),
            ]
            data += struct.pack("<H", len(tags))
            data += b"".join(struct.pack("<HHII", *tag) for tag in tags)
            data += struct.pack("<I", 0 if number == chosen[-1] else after)
            data += frame.tobytes() + metadata.encode()
            axes = json.dumps({"time": number, "channel": "GFP"}).encode()
            kind = {1: 0, 2: 1}[frame.itemsize]
            index += struct.pack("<I", len(axes)) + axes
            index += struct.pack("<I", len(name)) + name.encode()
            index += struct.pack("<5I", pixels, frame.shape[1], frame.shape[0], kind, 0)
            index += struct.pack("<3I", pixels + frame.nbytes, len(metadata), 0)
        (folder / name).write_bytes(data)
    (folder / "NDTiff.index").write_bytes(index)
    return folder


def dax(order: str) -> Writer:
    def write(folder: Path, frames: Frames) -> Path:
        count, rows, columns = frames.shape
        (folder / "movie_0001.dax").write_bytes(
            frames.astype(">u2" if order == "big" else "<u2").tobytes()
        )
        (folder / "movie_0001.inf").write_text(
            f"binning = 1 x 1\ndata type = 16 bit integers (binary, {order} endian)\n"
            f"frame dimensions = {columns} x {rows}\nnumber of frames = {count}\n"
            "Lock Target = 0.0\nx_start = 1\n"
        )
        return folder / "movie_0001.dax"

    return write


def folder_of_files(frames_per_file: int) -> Writer:
    """frame9.tif, frame10.tif, ..., whose alphabetical order is not the natural one."""

    def write(folder: Path, frames: Frames) -> Path:
        for start in range(0, len(frames), frames_per_file):
            chosen = frames[start : start + frames_per_file]
            tifffile.imwrite(folder / f"frame{start + 9}.tif", chosen, photometric="minisblack")
        return folder

    return write


TIFF_FORMATS: dict[str, Writer] = {
    "contiguous": with_tifffile(),
    "big-endian": with_tifffile(byteorder=">"),
    "BigTIFF": with_tifffile(bigtiff=True),
    "page by page": page_by_page,
    "strips": with_tifffile(rowsperstrip=4),
    "tiles": with_tifffile(tile=(16, 16)),
    "LZW": with_tifffile(compression="lzw", predictor=True),
    "deflate": with_tifffile(compression="zlib", predictor=True, rowsperstrip=5, byteorder=">"),
    "zstd tiles": with_tifffile(compression="zstd", tile=(16, 32)),
    "packbits": with_tifffile(compression="packbits"),
    "OME-TIFF": with_tifffile("movie.ome.tif", metadata={"axes": "TYX", "PhysicalSizeX": 0.1}),
    "ImageJ": with_tifffile(imagej=True, resolution=(10, 10), metadata={"unit": "um"}),
    "ImageJ, one directory": imagej_one_directory,
}
FORMATS = TIFF_FORMATS | {
    "Micro-Manager": micromanager,
    "NDTiff": ndtiff,
    "dax, big": dax("big"),
    "dax, little": dax("little"),
    "folder": folder_of_files(1),
    "folder of stacks": folder_of_files(3),
}
