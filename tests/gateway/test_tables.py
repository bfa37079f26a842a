import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tables import csv_lines, harmless

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "|calc", "%x", "＝1+1", "＠x"]
BEFORE = ["", " ", "\u00a0", "\ufeff", "\t", "\r", "\n", "\u200b ", "a\n", "a\r\n \u00a0", "a;", "a\t"]


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_begins_a_formula_wherever_a_spreadsheet_cuts_it(before, formula):
    line = harmless(before + formula)
    for cut in ("\n", "\r", ";", "\t"):
        for part in line.split(cut):
            assert not part.strip(" \u00a0\ufeff\u200b").startswith(tuple("=+-@|%＝＠")), part


@pytest.mark.parametrize("text", ["\tx", "\rx", "\nx"])
def test_a_cell_that_begins_with_a_tab_or_a_new_line_is_marked(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "shop", "team-a", "a=b", "a@b.c", "50%", "labels,objects", "2026-11-22", "größe 'x'"])
def test_ordinary_text_stays_as_it_is(text):
    assert harmless(text) == text


def test_negative_amounts_are_numbers_and_texts_that_look_like_them_are_not():
    text = "".join(csv_lines(("client", "cost_usd"), [("-5", "-0.00225"), (None, "3")], frozenset({"cost_usd"})))
    assert list(csv.reader(io.StringIO(text))) == [["client", "cost_usd"], ["'-5", "-0.00225"], ["", "3"]]


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=2, max_size=2))
def test_a_text_comes_back_with_nothing_but_apostrophes_added(cells):
    (_, back) = csv.reader(io.StringIO("".join(csv_lines(("a", "b"), [cells], frozenset())), newline=""))
    for cell, text in zip(cells, back, strict=True):
        assert text.replace("'", "") == cell.replace("'", "")
