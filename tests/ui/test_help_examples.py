"""What the help shows as an example can be typed: its commands, options, models and designs are."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from dsacq.files.mask_library import MASKS
from ui.cli import app
from ui.commands.models import SUFFIX, shipped_models

ROOT = Path(__file__).parents[2]
MODELS = {path.stem for path in shipped_models().glob(f"*{SUFFIX}")}


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")


COMMANDS = dict(commands(typer.main.get_command(app)))
GROUPS_ALONE = {"calibrate", "rig", "recording", "benchmark"}  # of commands, and nothing else


def examples(command: Any) -> list[list[str]]:
    found = re.findall(r"Example: `dsacq ([^`]*)`", command.help or "")
    return [shlex.split(" ".join(one.split())) for one in found]


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - GROUPS_ALONE))
def test_each_command_has_an_example_of_itself(name: str) -> None:
    command, shown = COMMANDS[name], examples(COMMANDS[name])
    assert shown
    for words in shown:
        own = name.split()
        assert words[: len(own)] == own
        given = command.make_context(name, words[len(own) :]).params  # raises where it is none
        for model in _models(given):
            assert model.suffix or str(model) in MODELS
        designs = [*given.get("names", ()), given.get("show"), given.get("mask")]
        for design in filter(None, designs):
            assert Path(design).suffix or str(design) in MASKS
        for path in (Path(word) for word in words if word.startswith("docs/")):
            assert (ROOT / path).exists()


def _models(given: dict[str, Any]) -> list[Path]:
    models = given.get("model") or []
    return [Path(one) for one in (models if isinstance(models, list | tuple) else [models])]


def test_models_are_named_without_an_ending_that_ship() -> None:
    for name in ("live", "localize", "overlay", "export-onnx", "benchmark speed"):
        words = [word for one in examples(COMMANDS[name]) for word in one]
        assert MODELS & set(words)
