"""Prints how soon all is dark and the camera stands still, for every end of every kind of run.

    python tests/hardware/ends_table.py [PART OF A LINE'S NAME]

With a QT_QPA_PLATFORM of xcb and a display the window is a real one.
"""

import itertools
import sys
import tempfile
from pathlib import Path
from typing import get_args

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1])]

from ends_samples import ENDS, Face, RigKind, ended, possible, stays  # noqa: E402


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    say("| rig | run | end | dark, ms | camera still, ms | exit code |")
    say("|---|---|---|---:|---:|---:|")
    worst = 0.0
    for rig, face, end in itertools.product(get_args(RigKind), get_args(Face), ENDS):
        if not possible(rig, face, end) or wanted not in f"{rig} {face} {end}":
            continue
        with (
            tempfile.TemporaryDirectory() as folder,
            ended(Path(folder), rig, face, end) as run,
        ):
            code = run.wait_closed(stays(face, end))
        worst = max(worst, run.dark_s)
        times = f"{1e3 * run.dark_s:.0f} | {1e3 * run.still_s:.0f}"
        say(f"| {rig} | {face} | {end} | {times} | {'stays' if code is None else code} |")
    say(f"\nThe longest until dark: {1e3 * worst:.0f} ms")


if __name__ == "__main__":
    main()
