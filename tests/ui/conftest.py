"""What tests of commands share."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from running import Run
from small_session import PATIENCE_MS

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture
def dsacq(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Run(monkeypatch, capsys)


class PatientBot(QtBot):
    """Waits as long as a busy machine needs, where a test does not say how long."""

    def waitUntil(self, *asked: Any, timeout: int = PATIENCE_MS) -> None:  # noqa: N802
        super().waitUntil(*asked, timeout=timeout)

    def waitSignal(self, *asked: Any, timeout: int = PATIENCE_MS, **more: Any) -> Any:  # noqa: N802
        return super().waitSignal(*asked, timeout=timeout, **more)

    def waitSignals(self, *asked: Any, timeout: int = PATIENCE_MS, **more: Any) -> Any:  # noqa: N802
        return super().waitSignals(*asked, timeout=timeout, **more)


@pytest.fixture
def qtbot(qapp: object, request: pytest.FixtureRequest) -> QtBot:
    """In place of the plugin's."""
    return PatientBot(request)


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
