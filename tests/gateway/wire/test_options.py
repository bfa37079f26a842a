from decimal import Decimal

import pytest

from cost.money import Money
from gateway.errors import InvalidParameter
from gateway.wire.options import Options

TAKEN = [
    ("features", "objects", ("objects",)),
    ("features", " objects , text,objects,", ("objects", "text")),
    ("features", ["objects", "faces"], ("objects", "faces")),
    ("max_cost_usd", "0.001", Money(1_000_000)),
    ("max_cost_usd", Decimal("0.001"), Money(1_000_000)),
    ("max_cost_usd", Decimal("1e-5"), Money(10_000)),
    ("max_cost_usd", 2, Money(2_000_000_000)),
    ("max_cost_usd", "0", Money(0)),
    ("max_cost_usd", "0.000000001", Money(1)),
    ("max_cost_usd", "999999999.999999999", Money(10**18 - 1)),
    ("deadline_ms", "250", 250),
    ("deadline_ms", 250, 250),
    ("deadline_ms", Decimal("2.5e2"), 250),
    ("min_confidence", "0.25", 0.25),
    ("min_confidence", Decimal("0.25"), 0.25),
    ("min_confidence", 1, 1.0),
    ("max_results", "7", 7),
    ("strategy", "cheapest", "cheapest"),
    ("cache", "off", "off"),
    ("dry_run", "true", True),
    ("dry_run", False, False),
    ("tags", "team:search, url:https://a/b", {"team": "search", "url": "https://a/b"}),
    ("tags", {"team": "Bücher"}, {"team": "Bücher"}),
    ("tags", "", {}),
    ("providers", "local,rekognition", ("local", "rekognition")),
]


@pytest.mark.parametrize(("name", "given", "value"), TAKEN)
def test_an_option_is_read_exactly(name, given, value):
    assert getattr(Options.read({name: given}), name) == value


REFUSED = [
    *(
        ("max_cost_usd", text)
        for text in ("-1", "-0", "+1", "NaN", "Infinity", "0.0000000001", "1e-5", "1e400", "1_000", "١", "", " 1", "1,5")
    ),
    *(("max_cost_usd", text) for text in ("1.0000000000000000000000000000000001", "1000000000", "9" * 5000, ".5", "0x1", "$1")),
    *(("max_cost_usd", Decimal(text)) for text in ("-1", "1e400", "1e999999999", "1e-999999999", "0.0000000001", "NaN", "Infinity")),
    *(("max_cost_usd", value) for value in (0.001, True, 10**4000, ["1"], {"usd": 1})),
    *(
        ("deadline_ms", value)
        for value in (0, -1, 600_001, "1_000", "9" * 5000, 10**400, Decimal("1.5"), Decimal("1e99999"), True, "", "soon")
    ),
    *(("min_confidence", value) for value in (-0.1, "1.1", Decimal("1.00001"), "nan", "inf", Decimal("1e400"), "0.1_0", True, [0.5], None)),
    *(("max_results", value) for value in (0, 1001, "1.5", True, Decimal("1e9"))),
    *(("features", value) for value in ("", ",", "dogs", "Objects", [], [["objects"]], {"objects": 1}, 5, None)),
    *(("providers", value) for value in ("", [1], {"local": 1})),
    *(("strategy", value) for value in ("", "AUTO", ["auto"], "auto\0")),
    *(("cache", value) for value in ("no", 5)),
    *(("dry_run", value) for value in ("maybe", 2, "")),
    *(
        ("tags", text)
        for text in ("team", "team:", ":search", "a:1,a:2", "a:\x00", "a:\r\nb", "a:\u202e", "a:\ud800", f"a:{'x' * 129}", "x" * 10_000)
    ),
    *(("tags", value) for value in ({"a": 1}, {"a:b": "c"}, {"a": "b,c"}, {"": "x"}, ["a:b"], 5, {str(i): "x" for i in range(21)})),
    ("colour", "red"),
    ("image", "x"),
    ("Features", "objects"),
]


@pytest.mark.parametrize(("name", "given"), REFUSED)
def test_what_is_not_exactly_an_option_is_refused_by_name(name, given):
    with pytest.raises(InvalidParameter) as refused:
        Options.read({name: given})
    assert refused.value.members == {"parameter": name}
    assert name in refused.value.detail
    assert len(refused.value.detail) < 300


def test_a_made_up_name_is_not_repeated_at_length():
    with pytest.raises(InvalidParameter) as refused:
        Options.read({"x" * 100_000: "1"})
    assert len(refused.value.detail) + len(str(refused.value.members)) < 500


def test_an_unknown_parameter_is_told_with_the_one_that_was_meant():
    with pytest.raises(InvalidParameter, match=r"no parameter 'feature'\. Did you mean features\? There are: image, features"):
        Options.read({"feature": "objects"})
    with pytest.raises(InvalidParameter, match=r"no parameter 'zzz'\. There are: image"):
        Options.read({"zzz": "1"})
