import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost.money import FREE, BadMoney, Money

COST = Path(__file__).parents[2] / "cost"
NANOS = st.integers(-(2**63) + 1, 2**63 - 1)


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("0.00225", 2_250_000),
        ("50.00", 50_000_000_000),
        ("0", 0),
        ("-0.001", -1_000_000),
        ("0.000000001", 1),
        ("0.1000000000000", 100_000_000),
    ],
)
def test_a_decimal_string_is_read_exactly(text, nanos):
    assert Money.usd(text).nanos == nanos


@pytest.mark.parametrize(
    "text", ["", "1e-3", "1,5", " 1", "1 ", "+1", "NaN", "Infinity", ".5", "5.", "0x1", "1_000", "٣", "0.0000000001", "--1", "9" * 30]
)
def test_what_is_not_a_plain_exact_decimal_is_refused(text):
    with pytest.raises(BadMoney):
        Money.usd(text)


@pytest.mark.parametrize("amount", [0.1, 1, None, b"1", True])
def test_dollars_come_in_as_strings_only(amount):
    with pytest.raises(TypeError):
        Money.usd(amount)


@pytest.mark.parametrize("nanos", [0.1, 1.0, True, "1", None])
def test_nanos_are_ints_only(nanos):
    with pytest.raises(TypeError):
        Money(nanos)


def test_more_than_a_column_holds_is_refused_also_as_a_sum():
    with pytest.raises(BadMoney):
        Money(2**63 - 1) + Money(1)


@given(NANOS)
def test_text_out_and_in_again_is_the_same_amount_and_never_scientific(nanos):
    text = str(Money(nanos))
    assert Money.usd(text).nanos == nanos
    assert "e" not in text.lower()


@given(st.integers(-(10**17), 10**17), st.integers(-(10**17), 10**17), st.integers(-40, 40))
def test_arithmetic_and_order_are_those_of_the_integers(a, b, times):
    assert (Money(a) + Money(b), Money(a) - Money(b), Money(a) * times, times * Money(a), -Money(a)) == (
        Money(a + b),
        Money(a - b),
        Money(a * times),
        Money(a * times),
        Money(-a),
    )
    assert (Money(a) < Money(b)) == (a < b)
    assert bool(Money(a)) == (a != 0)


@pytest.mark.parametrize("other", [1.5, 0.0, True, "1"])
def test_money_does_not_mix_with_floats(other):
    with pytest.raises(TypeError):
        FREE * other
    with pytest.raises(TypeError):
        FREE + other
    with pytest.raises(TypeError):
        FREE - other


MONEY_FILES = sorted(
    [
        COST / "money.py",
        COST / "price_sheets.py",
        COST / "windows.py",
        COST / "database.py",
        COST / "alerts.py",
        *(COST / "ledger").glob("*.py"),
    ]
)


@pytest.mark.parametrize("path", [path for path in MONEY_FILES if path.exists()], ids=lambda path: path.name)
def test_no_float_touches_money(path):
    """Durations in seconds (`*_s`) are the only floats in these files."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name):
            assert node.id != "float" or _names_a_duration(path, node), f"{path.name}:{node.lineno}"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            assert _is_text(node.right) or _names_a_duration(path, node), f"{path.name}:{node.lineno}"


def _is_text(node):
    """`folder / "name"` divides nothing."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _names_a_duration(path, node):
    return "_s" in path.read_text().splitlines()[node.lineno - 1]
