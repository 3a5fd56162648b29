"""Runs `dsacq ...` in this process, as a user would."""

import json
import sys
from dataclasses import dataclass

import pytest

from ui.cli import main


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        values: dict[str, object] = json.loads(self.out)
        return values


class Run:
    """Runs `dsacq ...` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> Result:
        self._monkeypatch.setattr(sys, "argv", ["dsacq", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = self._capsys.readouterr()
        return Result(code, captured.out, captured.err)

    def fails(self, *arguments: object) -> str:
        """The one sentence that it fails with."""
        result = self(*arguments)
        assert result.code == 1
        assert result.out == ""
        assert "Traceback" not in result.err
        assert result.err.strip().startswith("Error:")
        return " ".join(result.err.split())
