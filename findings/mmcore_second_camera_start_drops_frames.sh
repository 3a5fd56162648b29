#!/bin/sh
# MMCore: startSequenceAcquisition(label, ...) of a second camera, which by its documentation "does
# not automatically initialize the circular buffer", throws away the frames of a first camera that
# wait in the buffer, and begins the first camera's ImageNumber at 0 again. Nothing is raised and no
# flag is set, so that a recording of the first camera has lost frames without any gap in its count.
# Exits with 0 while that is so, with 1 when it no longer is.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    pymmcore==12.5.1.75.0 mm-test-adapters==75.20261014
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import time
from importlib.metadata import version
from pathlib import Path

import mm_test_adapters
import pymmcore

core = pymmcore.CMMCore()
core.enableStderrLog(False)
core.setDeviceAdapterSearchPaths([str(Path(mm_test_adapters.__file__).parent / "libs")])
for name in ("First", "Second"):
    core.loadDevice(name, "DemoCamera", "DCam")
    core.initializeDevice(name)
    core.setExposure(name, 10)
core.setCameraDevice("First")
print("pymmcore", version("pymmcore"), "mm-test-adapters", version("mm-test-adapters"))
print(core.getVersionInfo(), "/", core.getAPIVersionInfo())


def take(most: int = 10**6) -> list[tuple[str, int]]:
    """Camera and ImageNumber of frames that wait in the buffer, the oldest first."""
    found = []
    while core.getRemainingImageCount() and len(found) < most:
        tags = pymmcore.Metadata()
        core.popNextImageMD(tags)
        camera, number = (tags.GetSingleTag(key).GetValue() for key in ("Camera", "ImageNumber"))
        found.append((camera, int(number)))
    return found


core.startSequenceAcquisition(10**6, 0, True)
while core.getRemainingImageCount() < 8:
    time.sleep(0.005)
taken = [number for _, number in take(3)]
waiting = core.getRemainingImageCount()
core.startSequenceAcquisition("Second", 10**6, 0, True)
time.sleep(0.3)
core.stopSequenceAcquisition("Second")
core.stopSequenceAcquisition("First")
left = [number for camera, number in take() if camera == "First"]
overflowed = core.isBufferOverflowed()
core.unloadAllDevices()
print(f"of the first camera, taken before the second was started: {taken}; waiting: {waiting}")
print(f"of the first camera, in the buffer at the end: {left}")
print(f"isBufferOverflowed: {overflowed}")
lost = taken == [0, 1, 2] and bool(left) and left[0] == 0 and not overflowed
print("its waiting frames are gone and it counts from 0 again" if lost else "nothing was lost")
sys.exit(0 if lost else 1)
PYTHON
