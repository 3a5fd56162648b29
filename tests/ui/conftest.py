"""What tests of commands share."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Run

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture
def dsacq(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Run(monkeypatch, capsys)


@pytest.fixture(autouse=True)
def collected_in_the_gui_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """As the app does it: widgets that another thread's collection destroys take Qt along."""
    if "qtbot" not in request.fixturenames:
        yield
        return
    gc.disable()
    yield
    gc.collect()
    gc.enable()
