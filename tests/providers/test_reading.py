import pytest

from providers.errors import ProviderProtocolError
from providers.reading import fields, number, percent, rows, text


@pytest.mark.parametrize("value", [None, 7, b"x", ["x"]])
def test_text_is_a_string(value):
    with pytest.raises(ProviderProtocolError):
        text({"x": value}, "x")


@pytest.mark.parametrize("value", [None, "7", True, float("nan"), float("-inf"), [7]])
def test_a_number_is_finite(value):
    with pytest.raises(ProviderProtocolError):
        number({"x": value}, "x")


@pytest.mark.parametrize(("value", "fraction"), [(0, 0.0), (100, 1.0), (100.00001, 1.0), (-0.00001, 0.0), (55.5, 0.555)])
def test_a_percentage_is_a_fraction(value, fraction):
    assert percent({"Confidence": value}) == pytest.approx(fraction)


@pytest.mark.parametrize("value", [100.1, -0.1, 1e9])
def test_a_percentage_out_of_range_is_none(value):
    with pytest.raises(ProviderProtocolError):
        percent({"Confidence": value})


def test_rows_may_be_absent_unless_required():
    assert rows({}, "x") == []
    assert rows({"x": None}, "x") == []
    assert rows({"x": [{}]}, "x", required=True) == [{}]
    with pytest.raises(ProviderProtocolError):
        rows({}, "x", required=True)
    with pytest.raises(ProviderProtocolError):
        rows({"x": [{}, None]}, "x")


def test_fields_are_an_object():
    assert fields({"x": {"y": 1}}, "x") == {"y": 1}
    with pytest.raises(ProviderProtocolError):
        fields({"x": []}, "x")
