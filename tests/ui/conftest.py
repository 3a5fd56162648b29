"""What tests of commands share."""

import os
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
