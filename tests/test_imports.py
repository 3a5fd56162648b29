"""Imports point one way: ui -> calibration -> hardware -> dsacq. Only ui knows Qt."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ("dsacq", "hardware", "calibration", "ui")
QT = {"PyQt6", "PySide6", "pyqtgraph"}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("package", ORDER)
def test_no_import_points_back(package: str) -> None:
    above = set(ORDER[ORDER.index(package) + 1 :])
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        forbidden = above if package == "ui" else above | QT
        assert not imported(path) & forbidden, path


def test_commands_import_torch_late() -> None:
    """`dsacq --help` must not wait for torch: only function bodies of the commands import it."""
    for path in sorted((ROOT / "ui").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = {
            alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
        } | {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
        assert not {"torch", "pandas", "matplotlib"} & top, path
