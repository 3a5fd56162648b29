"""The tests can be collected where POSIX's modules and signals are missing, as on Windows."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent


def test_without_posix() -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "without_posix",
    ]
    found = subprocess.run(
        [*command, "--collect-only", str(TESTS)],
        cwd=TESTS.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS.parent), str(TESTS)))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-3000:]
    assert "SKIPPED" not in found.stdout
    assert "test_rig.py" in found.stdout
