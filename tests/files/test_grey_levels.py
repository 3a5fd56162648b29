"""Tables of grey levels and corrections from other programs: read right, or told what they are."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dsacq.errors import FileError
from dsacq.files.grey_levels import Table, read_table
from dsacq.files.phase_units import curve_trouble, map_doubt, map_trouble

LEVELS = np.arange(256)
RISING = 2.2 * np.pi * (LEVELS / 255) ** 1.3 + 0.2  # rad, as measured curves go


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


Writer = Callable[[Table], list[str]]
WRITERS: dict[str, Writer] = {
    "one a line": lambda phases: [f"{phase:.9f}" for phase in phases],
    "one line": lambda phases: [",".join(f"{phase:.9f}" for phase in phases)],
    "16 x 16": lambda phases: [
        ",".join(f"{phase:.9f}" for phase in row) for row in phases.reshape(16, 16)
    ],
    "level, phase": lambda phases: [f"{n},{phase:.9f}" for n, phase in enumerate(phases)],
    "phase, level": lambda phases: [f"{phase:.9f},{n}" for n, phase in enumerate(phases)],
    "titles": lambda phases: (
        ["level,phase [rad]"] + [f"{n},{phase:.9f}" for n, phase in enumerate(phases)]
    ),
    "from the top": lambda phases: [
        f"{n},{phase:.9f}" for n, phase in reversed(list(enumerate(phases)))
    ],
    "two long rows": lambda phases: [
        ",".join(map(str, LEVELS)),
        ",".join(f"{phase:.9f}" for phase in phases),
    ],
    "tabs": lambda phases: [f"{n}\t{phase:.9f}" for n, phase in enumerate(phases)],
    "blanks": lambda phases: [f" {n:3d}  {phase:.9f}" for n, phase in enumerate(phases)],
    "decimal commas": lambda phases: [
        f"{n};{phase:.9f}".replace(".", ",") for n, phase in enumerate(phases)
    ],
    "a comment": lambda phases: ["# 561 nm", *(f"{phase:.9f}" for phase in phases), "", ""],
}


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("curve", [RISING, RISING[::-1] - 3])
def test_the_forms_of_a_table(
    form: str, curve: Table, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "levels.csv", WRITERS[form](curve))
    np.testing.assert_allclose(read_table(path), curve, atol=1e-8)
    assert not caplog.records


@pytest.mark.parametrize(
    ("phases", "told"),
    [
        (np.degrees(RISING), "looks like degrees"),
        (LEVELS / 255 * 360, "looks like degrees"),
        (np.degrees(RISING)[::-1], "looks like degrees"),
        (RISING / (2 * np.pi), "looks like turns"),
        (LEVELS / 256, "looks like turns"),
        (1 - LEVELS / 255, "looks like turns"),
        (LEVELS / 128, "looks like units of pi"),
        (LEVELS / 255 * 2, "looks like units of pi"),
        (LEVELS * 1.0, "look like grey levels"),
        (255.0 - LEVELS, "look like grey levels"),
        (np.round(np.linspace(0, 217, 256)), "look like grey levels"),
        (np.zeros(256), "all its phases are the same"),
        (np.full(256, 3.1), "all its phases are the same"),
        (1e308 * np.linspace(-1, 1, 256), "no such phase"),
        (RISING * 1e6, "no such phase"),
        (np.random.default_rng(1).permutation(RISING), "in the order of the levels"),
        (np.random.default_rng(2).uniform(0, 6, 256), "in the order of the levels"),
    ],
)
def test_what_is_no_table_of_rad_is_told_by_what_it_is(
    phases: Table, told: str, tmp_path: Path
) -> None:
    for form in ("one a line", "level, phase"):
        path = tmp_path / "levels.csv"
        path.write_text("\n".join(WRITERS[form](phases)))
        with pytest.raises(FileError, match=rf"levels\.csv: .*{told}"):
            read_table(path)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "holds no number; give 256"),
        (["level,phase"], "holds no number"),
        (["0.1"] * 255, "has 255 numbers; give 256"),
        (["0.1,0.2,0.3"] * 256, "has 768 numbers; give 256"),
        (["0.1,0.2"] * 256, "neither counts the levels"),
        ([f"{n + 1},{n / 40}" for n in range(256)], "neither counts the levels"),
        (["0.1"] * 17 + ["nan"] + ["0.2"] * 238, "the phase of level 17 is nan"),
        (["0.1"] * 3 + ["inf"] + ["0.2"] * 252, "the phase of level 3 is inf"),
        (["0.1"] * 100 + ["zero"] + ["0.1"] * 155, "cannot be read as a table of phases"),
    ],
)
def test_a_file_that_is_no_table(lines: list[str], told: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=rf"levels\.csv: .*{told}"):
        read_table(written(tmp_path / "levels.csv", lines))


@pytest.mark.parametrize(("back_rad", "is_told"), [(0.3, False), (0.8, True), (2.0, True)])
def test_a_phase_that_goes_back_is_told(
    back_rad: float, is_told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    curve = np.interp(LEVELS, [0, 120, 160, 255], [0, 4, 4 - back_rad, 7])
    with caplog.at_level(logging.WARNING):
        table = read_table(written(tmp_path / "levels.csv", WRITERS["one a line"](curve)))
    np.testing.assert_allclose(table, curve, atol=1e-8)
    assert (f"goes back by {back_rad:.2g} rad up to level 160" in caplog.text) is is_told


@pytest.mark.parametrize(
    "phases",
    [
        RISING,
        RISING % (2 * np.pi),  # wrapped
        LEVELS * 8 * np.pi / 255,  # an SLM for the infrared in blue light
        -RISING,
        np.where(LEVELS < 128, 0.0, np.pi),  # a binary SLM
        RISING + np.random.default_rng(1).normal(0, 0.05, 256),
    ],
)
def test_curves_of_slms_pass(phases: Table) -> None:
    assert curve_trouble(phases) == ""


ROWS, COLUMNS = np.indices((60, 80)) / 60
SURFACE = 3 * ROWS**2 - 2 * COLUMNS  # rad, smooth


@pytest.mark.parametrize(
    ("phase", "told"),
    [
        (np.round(SURFACE % (2 * np.pi) / 2 / np.pi * 255), "look like grey levels"),
        (np.indices((300, 300))[0] % 256, "look like grey levels"),
        (np.indices((60, 80))[1] * 3.0, "look like grey levels"),
        (np.degrees(SURFACE), "looks like degrees"),
        (np.degrees(SURFACE) % 360, "looks like degrees"),
        (SURFACE * 1e30, "no such phase"),
        (4 * SURFACE / (2 * np.pi) % 1, "looks like turns"),
    ],
)
def test_what_is_no_correction_in_rad_is_told_by_what_it_is(phase: Table, told: str) -> None:
    assert told in map_trouble(phase)


@pytest.mark.parametrize(
    ("phase", "doubt"),
    [
        (SURFACE, ""),
        (SURFACE % (2 * np.pi), ""),
        (np.zeros((60, 80)), ""),
        (0.2 * SURFACE, ""),
        (np.round(SURFACE), ""),  # whole numbers, but few
        (4 * SURFACE, "waves: is it in rad"),
        (np.degrees(SURFACE) / 5, "waves: is it in rad"),
        ((SURFACE - SURFACE.min()) / np.ptp(SURFACE), "in turns"),
    ],
)
def test_corrections_pass_and_odd_ones_are_doubted(phase: Table, doubt: str) -> None:
    assert map_trouble(phase) == ""
    assert (doubt in map_doubt(phase)) if doubt else map_doubt(phase) == ""
