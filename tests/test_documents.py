"""What the documents tell to type can be typed into bash, PowerShell 5.1 and cmd.exe alike."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORKFLOW = ROOT / ".github" / "workflows" / "tests.yml"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = ("dsacq", "python", "python3", "py", "pip", "pytest", "torchrun", ".venv", ".ci")

# Within double quotes: what one of the shells replaces there.
REPLACED = set("$`%!\\")
# Outside of them: what one of the shells takes for itself.
TAKEN = REPLACED - {"\\"} | set("'&|<>;^#(){}*?~@\"")


def lines_to_type(text: str) -> Iterator[str]:
    """Those of code blocks, fenced or indented, that call a program of ours or Python."""
    for line in text.splitlines():
        words = line.split()
        if not words or re.split(r"[/\\]", words[0])[0] not in PROGRAMS:
            continue
        if line[0] != " " and not _fenced(text, line):
            continue
        yield line.strip()


def _fenced(text: str, line: str) -> bool:
    return any(line in block.splitlines() for block in re.findall(r"(?ms)^```\w*\n(.*?)^```", text))


def faults(line: str) -> set[str]:
    """The characters in it that do not mean themselves in every shell."""
    outside, *rest = re.split(r"\"", line)
    found = set(outside) & TAKEN
    for number, part in enumerate(rest):
        found |= set(part) & (REPLACED if number % 2 == 0 else TAKEN)
    return found | ({"quote"} if len(rest) % 2 else set()) | ({"\\"} & set(line[-1:]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_of_pages(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for line in lines_to_type(text):
        assert not faults(line), line


def test_lines_are_found() -> None:
    assert sum(len(list(lines_to_type(page.read_text(encoding="utf-8")))) for page in PAGES) > 60


def test_examples_of_the_commands() -> None:
    examples = []
    for path in sorted((ROOT / "ui" / "commands").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and (told := ast.get_docstring(node)):
                examples += re.findall(r"(?s)Example: `(.*?)`", told)
    assert len(examples) > 25
    for one in examples:
        assert not faults(" ".join(one.split())), one


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("dsacq filter a.csv -o b.csv --where 'z_um > 0'", {"'", ">"}),
        ('dsacq filter a.csv -o b.csv --where "z_um > 0"', set()),
        ('dsacq filter a.csv -o b.csv --where "z_um > 0', {"quote"}),
        ("python -m venv .venv && dsacq", {"&"}),
        ("dsacq masks \\", {"\\"}),
        ("dsacq masks # all", {"#"}),
        ('dsacq report "$HOME" -o a.html', {"$"}),
        (".venv\\Scripts\\dsacq masks --show tetrapod", set()),
    ],
)
def test_what_a_shell_takes_for_itself_is_seen(line: str, found: set[str]) -> None:
    assert faults(line) == found


def test_the_readme_names_the_pythons() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"\b3\.\d+\b", README.partition("## Install")[2].partition("```")[0])
    assert project["requires-python"] == f">={named[0]}"
    assert [int(one[2:]) for one in named] == list(range(11, 11 + len(named)))
    assert re.search(r"^py -(3\.\d+) -m venv", README, re.MULTILINE)[1] in named  # type: ignore[index]
    for job in _jobs().values():
        assert job["strategy"]["matrix"]["python"] == [named[0], named[-1]]


def test_the_workflow_runs_what_the_readme_tells() -> None:
    steps = {
        name: [step["run"] for step in job["steps"] if "run" in step]
        for name, job in _jobs().items()
    }
    assert ".ci/run" in steps["linux"]
    told = [line for line in lines_to_type(README) if line.startswith(".venv/bin/python")]
    install, tests = (line.removeprefix(".venv/bin/python") for line in told[-2:])
    assert '".[test]"' in install
    program = "${{ matrix.in-environment }}"
    assert steps["elsewhere"] == ["python -m venv .venv", program + install, program + tests]
    for job in _jobs().values():
        assert 0 < job["timeout-minutes"] <= 180


def _jobs() -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    return jobs
