"""Where a recording goes: its name, and the room on the disk."""

import re
import shutil
from functools import partial
from pathlib import Path

from PyQt6.QtCore import QCoreApplication

from dsacq.errors import FileError
from dsacq.files.names import check_name, fault_of_name
from dsacq.files.paths import is_there
from ui.panels.controls import typed_path
from ui.panels.readings import CameraState

_NUMBERED = re.compile(r"(.*?)(\d+)$")

tr = partial(QCoreApplication.translate, "RecordPanel")


def why_not(folder: str, name: str) -> str:
    """Why no recording of this name can be made in the folder, in a sentence; or nothing."""
    folder, name = folder.strip(), name.strip()
    if not folder:
        return tr("Choose a folder for the recordings.")
    if not name.strip("."):
        return tr("Give the recording a name.")
    if fault := fault_of_name(name):
        return tr("The name {}.").format(fault)
    target = typed_path(folder) / name
    try:
        check_name(target)
    except FileError as error:
        return str(error)
    if is_there(target):
        return tr("{} exists already; {} is free.").format(name, free_name(target))
    return ""


def free_name(folder: Path) -> str:
    """The next of this name, counted up, that does not exist beside it."""
    numbered = _NUMBERED.match(folder.name)
    stem, digits = numbered.groups() if numbered else (f"{folder.name}-", "000")
    number = int(digits)
    while True:
        number += 1
        name = f"{stem}{number:0{len(digits)}d}"
        if not is_there(folder.parent / name):
            return name


def room(folder: Path, camera: CameraState | None) -> str:
    """Free on the disk that the folder is, or will be, on; and the time that is enough for."""
    there = next((one for one in (folder, *folder.parents) if is_there(one, Path.is_dir)), None)
    if there is None:
        return tr("no such disk")
    try:
        free_bytes = shutil.disk_usage(there).free
    except OSError as error:
        return error.strerror or str(error)
    told = tr("{:.1f} GB free").format(free_bytes / 1e9)
    return told if camera is None else f"{told}, {_lasting(free_bytes, camera)}"


def _lasting(free_bytes: float, camera: CameraState) -> str:
    """How long frames may come before the recording ends by itself, to leave the disk some room."""
    from dsacq.files.recording_writer import DiskSettings

    disk = DiskSettings()
    bytes_per_s = 2 * camera.shape_px[0] * camera.shape_px[1] / camera.exposure_s
    reserve_bytes = max(disk.reserve_bytes, disk.reserve_s * bytes_per_s)
    minutes = max(free_bytes - reserve_bytes, 0) / bytes_per_s / 60
    return f"{minutes:.0f} min" if minutes < 600 else f"{minutes / 60:.0f} h"
