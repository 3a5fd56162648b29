"""The page on a recording: whatever names and settings hold, they are text in it."""

import os
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from recording_samples import SMALL, facts, frame

from dsacq.analysis.report import recording_report
from dsacq.data import Localizations
from dsacq.files.localizations import write_localizations
from dsacq.files.recording_writer import RecordingWriter

OWN_TAGS = {
    "html", "meta", "title", "style", "body", "h1", "h2", "p", "table", "tr", "td", "img",
}  # fmt: skip
SCRIPT, IMAGE = "<script>alert(1)</script>", '<img src="http://a.example/x.png" onerror=run>'
# Made elsewhere: dsacq itself writes no name that Windows would not take.
FILE = "a &lt;b&gt; &amp; c" if os.name == "nt" else '<b onclick="x">a &amp; c'


class Page(HTMLParser):
    """Its tags, and its texts as a reader sees them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Of a recording whose every name and reason is markup."""
    tmp_path = tmp_path_factory.mktemp("report")
    about = {
        "mask": {"name": SCRIPT, IMAGE: "a & b", "pixel_um": 24.0},
        SCRIPT: "value",
        "lasers": {"<i>561</i>": {"power": "</td></table>"}},
        "notes": "x < y && z > 0 &lt;ü&gt; \"'",
        "gains": [1, "<u>2</u>"],
        "none": None,
        "cut": "half of a letter: \ud83d",
    }
    made = tmp_path / "run"
    changed = {"about": about, "reason": f"{IMAGE} failed."}
    writer = RecordingWriter(made, replace(facts(), about=about), SMALL)
    for number in range(6):
        writer.put(frame(number))
    writer.close(replace(facts("failed"), **changed))
    folder = made.rename(tmp_path / FILE)
    rows = np.arange(24)
    place = np.random.default_rng(0).uniform(1, 4, size=(24, 3))
    found = Localizations.from_columns(
        frame=rows // 4, x_um=place[:, 0], y_um=place[:, 1], z_um=place[:, 2], track=rows % 4
    )
    write_localizations(replace(found, origin={"model": f"{SCRIPT} nano"}), tmp_path / "t.parquet")
    table = (tmp_path / "t.parquet").rename(tmp_path / f"{FILE}.parquet")
    output = tmp_path / "page.html"
    assert list(recording_report(folder, table, output))
    return Page(output)


def test_only_its_own_tags_are_in_the_page(page: Page) -> None:
    assert {tag for tag, _ in page.tags} == OWN_TAGS
    for tag, attributes in page.tags:
        allowed = {"img": {"alt", "src"}, "html": {"lang"}, "meta": {"charset"}, "p": {"class"}}
        assert set(attributes) <= allowed.get(tag, set()), (tag, attributes)
        if tag == "img":
            assert str(attributes["src"]).startswith("data:image/png;base64,")
    assert sum(tag == "table" for tag, _ in page.tags) == 2


@pytest.mark.parametrize(
    "text",
    [
        FILE,
        f"{FILE}, dsacq",
        f"failed: {IMAGE} failed.",
        f"24 in {FILE}.parquet",
        f"{SCRIPT} nano",
        "mask.name",
        SCRIPT,
        f"mask.{IMAGE}",
        "a & b",
        "lasers.<i>561</i>.power",
        "</td></table>",
        "x < y && z > 0 &lt;ü&gt; \"'",
        "[1, '<u>2</u>']",
        "half of a letter: \\ud83d",
    ],
)
def test_names_and_settings_read_as_they_were_written(page: Page, text: str) -> None:
    assert text in page.texts
