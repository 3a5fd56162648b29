"""Conditions on rows as a user types them; nothing else is read, and nothing is run."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsacq.analysis.row_filter import ordered, parsed, passing
from dsacq.errors import SettingsError

TABLE = pd.DataFrame(
    {
        "frame": np.array([0, 1, 2, 3]),
        "photons": np.array([500, 1500, 2500, np.nan], np.float32),
        "z_um": np.array([-1, 0, 1, 2], np.float32),
    }
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("photons > 1000", [1, 2]),
        ("photons > 1000 and z_um < 0.5", [1]),
        ("photons < 1000 or frame == 3", [0, 3]),
        ("not (photons > 1000)", [0, 3]),
        ("-0.5 <= z_um < 2 != frame", [1]),
        ("1000 < photons", [1, 2]),
        ("z_um < 0,5 and photons > 999.5", [1]),
        ("-0,5 <= z_um <= 1.5e0", [1, 2]),
        ("z_um > -1 and frame != 2 or photons >= 2500", [1, 2, 3]),
        ("  photons > 1e400 ", []),
        ("frame < 1" + "0" * 400, [0, 1, 2, 3]),
    ],
)
def test_conditions(text: str, rows: list[int]) -> None:
    assert passing(TABLE, parsed(text, list(TABLE))).tolist() == rows


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("photons >", "is not a condition"),
        ("photon > 3", "names 'photon'; the columns are frame, photons, z_um"),
        ("photons", "needs comparisons"),
        ("photons and z_um > 1", "needs comparisons"),
        ("photons > True", "not 'True'"),
        ("photons > 'a'", "not \"'a'\""),
        ("photons > 1j", "not '1j'"),
        ("photons in (1, 2)", "not 'in'"),
        ("photons > z_um * 2", "not 'z_um * 2'"),
        ("photons.size > 1", "not 'photons.size'"),
        ("__import__('os').getcwd() > 1", "not \"__import__('os').getcwd()\""),
        ("(lambda: 1)() > 0", "not '(lambda: 1)()'"),
        ("[x for x in (1,)] > 0", "not '[x for x in (1,)]'"),
        ("(photons := 3) > 1", "not '(photons := 3)'"),
        ("photons > 1; frame > 2", "is not a condition"),
        ("photons > 1.234,5", "is not a condition"),
        ("photons > 1,234,5", "is not a condition"),
        ("photons > 1 234", "is not a condition"),
        ("photons > 1, 5", "needs comparisons"),
        ("(" * 240 + "photons > 1" + ")" * 240, "is not a condition"),
        ("photons > 1 or " * 60 + "z_um > 1", "longer than 500 characters"),
        ("photons\0 > 1", "is not a condition"),
    ],
)
def test_all_else_is_refused_in_a_sentence(text: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parsed(text, list(TABLE))
    assert told in str(caught.value)


@given(st.text(alphabet="photnszum_e<>=!()and 019.-'\"[]:;@\\\n", max_size=40))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        condition = parsed(text, list(TABLE))
    except SettingsError:
        return
    rows = passing(TABLE, condition)
    assert (np.diff(rows) > 0).all()


def test_order_puts_unknown_last() -> None:
    values = np.array([2.0, np.nan, 1.0, 3.0])
    assert ordered(values, ascending=True).tolist() == [2, 0, 3, 1]
    assert ordered(values, ascending=False).tolist() == [3, 0, 2, 1]
    whole = np.array([2, 0, 1])
    assert ordered(whole, ascending=False).tolist() == [0, 2, 1]
