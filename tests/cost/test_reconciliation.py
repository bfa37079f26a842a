"""Each cause of a difference between an invoice and the ledger is found and named, and the parts add up to the difference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost.invoices import InvoiceKey, InvoiceSums
from cost.money import FREE, Money
from cost.reconciliation import LedgerSums, UnknownAttempt, compare

UNIT = Money.usd("0.001")
KEY = InvoiceKey("aws", "2026-11-03", "LOOK", "us-east-1")
OTHER_DAY = KEY._replace(day="2026-11-05")
BETWEEN = KEY._replace(day="2026-11-04")


def told(units, usd, **more):
    return InvoiceSums(units, Money.usd(usd), **more)


def held(id_, key=KEY, units=1):
    return UnknownAttempt(id_, {key: (units, UNIT * units)})


def causes(comparison, key=KEY):
    (finding,) = [finding for finding in comparison.findings if finding.key == key]
    assert sum((part.amount for part in finding.parts), FREE) == finding.amount
    assert sum(part.units for part in finding.parts) == finding.units
    return [(part.cause, part.units, str(part.amount)) for part in finding.parts]


@pytest.mark.parametrize(
    ("invoice", "ledger", "unknown", "found"),
    [
        (told(10, "0.01"), LedgerSums(10, UNIT * 10), [], []),
        (told(10, "0.01"), LedgerSums(8, UNIT * 8), ["a", "b", "c"], [("unknown_attempts", 2, "0.002")]),
        (told(8, "0.008"), LedgerSums(8, UNIT * 8), ["a"], [("unknown_attempts", 0, "0")]),
        (told(14, "0.014"), LedgerSums(10, UNIT * 10), [], [("other_user", 4, "0.004")]),
        (told(14, "0.014"), LedgerSums(10, UNIT * 10), ["a"], [("unknown_attempts", 1, "0.001"), ("other_user", 3, "0.003")]),
        (told(7, "0.007"), LedgerSums(10, UNIT * 10), [], [("missing_rows", -3, "-0.003")]),
        (told(10, "0.012"), LedgerSums(10, UNIT * 10), [], [("price_changed", 0, "0.002")]),
        (told(10, "0.009"), LedgerSums(10, UNIT * 10), [], [("price_changed", 0, "-0.001")]),
        (told(10, "0.004", free_units=6), LedgerSums(10, UNIT * 10), [], [("free_tier", 0, "-0.006")]),
        (told(10, "0.005", credit=Money.usd("-0.005")), LedgerSums(10, UNIT * 10), [], [("free_tier", 0, "-0.005")]),
        (told(10, "0.01"), LedgerSums(10, UNIT * 4), [], [("free_tier", 0, "0.006")]),
        (told(10, "0.0100005"), LedgerSums(10, UNIT * 10), [], [("rounding", 0, "0.0000005")]),
        (told(12, "0.0144"), LedgerSums(10, UNIT * 10), [], [("other_user", 2, "0.0024"), ("price_changed", 0, "0.002")]),
    ],
)
def test_each_cause_is_found_and_named(invoice, ledger, unknown, found):
    assert causes(compare({KEY: invoice}, {KEY: ledger}, map(held, unknown), lambda _: UNIT)) == found


def test_a_cause_is_told_in_numbers_that_agree_with_their_words():
    def said(invoice, ledger, *unknown):
        return compare({KEY: invoice}, {KEY: ledger}, map(held, unknown), lambda _: UNIT).findings[0].parts[0].detail

    assert said(told(1, "0.001"), LedgerSums(), "a", "b") == "the invoice counts 1 of 2 that may have been billed"
    assert said(told(1, "0.001"), LedgerSums()) == "no call of this gateway accounts for 1 unit"
    assert said(told(1200, "1.2"), LedgerSums()) == "no call of this gateway accounts for 1,200 units"
    assert said(told(1, "0.001"), LedgerSums(2, UNIT * 2)) == "the invoice has 1 unit fewer: rows that are late, or were not exported"


def test_units_that_the_invoice_counts_settle_the_oldest_unknown_calls_and_the_rest_is_released():
    comparison = compare({KEY: told(12, "0.012")}, {KEY: LedgerSums(10, UNIT * 10)}, [held(i) for i in "abcd"], lambda _: UNIT)
    assert (comparison.settle, comparison.release) == (("a", "b"), ("c", "d"))


def test_a_call_of_two_skus_is_settled_only_where_both_are_counted():
    faces = KEY._replace(sku="FACES")
    both = UnknownAttempt("both", {KEY: (1, UNIT), faces: (1, UNIT)})
    comparison = compare({KEY: told(1, "0.001"), faces: told(0, "0")}, {}, [both], lambda _: UNIT)
    assert (comparison.settle, comparison.release) == ((), ("both",))


def test_a_row_that_the_invoice_lacks_is_missing_and_its_unknown_calls_stay_open():
    invoice = {KEY: told(1, "0.001"), OTHER_DAY: told(1, "0.001")}
    ledger = {KEY: LedgerSums(1, UNIT), OTHER_DAY: LedgerSums(1, UNIT), BETWEEN: LedgerSums(5, UNIT * 5)}
    comparison = compare(invoice, ledger, [held("open", BETWEEN)], lambda _: UNIT)
    assert causes(comparison, BETWEEN) == [("missing_rows", -5, "-0.005")]
    assert comparison.settle == comparison.release == ()


def test_an_unknown_call_of_a_day_without_any_other_is_released():
    invoice = {KEY: told(1, "0.001"), OTHER_DAY: told(1, "0.001")}
    assert compare(invoice, {}, [held("alone", BETWEEN)], lambda _: UNIT).release == ("alone",)


AMOUNT = st.integers(-(10**9), 10**12).map(Money)
SIDE = st.tuples(st.integers(0, 50), AMOUNT)


@given(
    invoice=st.none() | st.tuples(SIDE, st.integers(0, 50), st.integers(-(10**9), 0).map(Money)),
    ledger=SIDE,
    unknown=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 10**9).map(Money)), max_size=5),
)
def test_the_parts_of_any_difference_add_up_to_it(invoice, ledger, unknown):
    lines = {OTHER_DAY: told(1, "0.001")}
    if invoice is not None:
        (units, amount), free, credit = invoice
        lines[KEY] = InvoiceSums(units, amount, min(free, units), credit)
    attempts = [UnknownAttempt(str(n), {KEY: line}) for n, line in enumerate(unknown)]
    comparison = compare(lines, {KEY: LedgerSums(*ledger)}, attempts, lambda _: UNIT)
    if any(finding.key == KEY for finding in comparison.findings):
        causes(comparison)
