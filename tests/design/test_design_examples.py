"""The designs that the documentation offers."""

from pathlib import Path

import pytest

from dsacq.design.settings import FisherDesign, LearnedDesign, read_design
from dsacq.simulation.settings import chosen_mask

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("design-fisher.toml", FisherDesign),
        ("design-learned.toml", LearnedDesign),
        ("design-small.toml", LearnedDesign),
        ("design-4um.toml", LearnedDesign),
    ],
)
def test_examples_are_valid(name: str, kind: type) -> None:
    settings = read_design(EXAMPLES / name)
    assert isinstance(settings.design, kind)
    assert chosen_mask(settings.mask, settings.optics, EXAMPLES).phase_rad.shape[0] > 50
