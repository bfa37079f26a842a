from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cost.money import Money
from cost.router import PricedCall, Quote, Snapshot, choose_route

OBJECTS = frozenset({"objects"})
LOCAL = Quote("local", (PricedCall(OBJECTS, Money(700)),), 40, quality=0.6, worth=0.86, billed=False)
REKOGNITION = Quote("rekognition", (PricedCall(OBJECTS, Money.usd("0.001")),), 600, quality=0.8, worth=0.85)
VISION = Quote("google_vision", (PricedCall(OBJECTS, Money.usd("0.00225")),), 450, quality=0.9, worth=0.8)
ALL = (LOCAL, REKOGNITION, VISION)


def decisions(route):
    return {c.provider: (c.decision, c.reason) for c in route.considered}


def providers(attempts):
    return [a.provider for a in attempts]


def changed(quote, **fields):
    return Quote(**{name: getattr(quote, name) for name in Quote.__slots__} | fields)


def test_the_route_speaks_the_words_of_the_contract():
    route = choose_route(Snapshot(OBJECTS, ALL, max_cost=Money.usd("0.002"), multiplier=100.0))
    assert decisions(route) == {
        "local": ("first", "cheapest"),
        "rekognition": ("escalation", "expected_gain 0.20 worth 0.0020 USD"),
        "google_vision": ("skipped", "over_max_cost"),
    }
    assert [(a.provider, a.price) for a in route.attempts] == [("local", Money(700))]
    assert providers(route.fallbacks) == ["rekognition"]


@pytest.mark.parametrize(("strategy", "first"), [("auto", "local"), ("cheapest", "local"), ("fastest", "local"), ("best", "google_vision")])
def test_each_strategy_asks_its_own_first(strategy, first):
    route = choose_route(Snapshot(OBJECTS, ALL, strategy=strategy))
    assert providers(route.attempts) == [first]
    assert ("escalation" in {decision for decision, _ in decisions(route).values()}) == (strategy == "auto")
    assert len(route.fallbacks) == 2


def test_any_provider_may_come_first():
    dear_model = changed(LOCAL, calls=(PricedCall(OBJECTS, Money.usd("0.01")),), quality=0.5, worth=0.5)
    assert providers(choose_route(Snapshot(OBJECTS, (dear_model, REKOGNITION, VISION))).attempts) == ["rekognition"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"refusal": "image_too_small"}, "image_too_small"),
        ({"calls": ()}, "unsupported_feature"),
        ({"calls": (PricedCall(OBJECTS, None),)}, "unpriced"),
        ({"calls": (PricedCall(OBJECTS, Money.usd("0.0031")),)}, "over_max_cost"),
        ({"latency_ms_p95": 5001.0}, "over_deadline"),
    ],
)
def test_what_stands_against_a_provider_is_told(fields, reason):
    best = changed(VISION, **fields)
    route = choose_route(Snapshot(OBJECTS, (LOCAL, best), "best", Money.usd("0.003"), 5000.0))
    assert decisions(route)["google_vision"] == ("skipped", reason)
    assert providers(route.attempts) == ["local"]
    assert route.degraded == (reason in {"over_max_cost", "over_deadline"})
    assert (route.considered[1].price is None) == (reason in {"unpriced", "unsupported_feature"})


def test_what_only_imputes_a_cost_is_never_stopped_by_money():
    route = choose_route(Snapshot(OBJECTS, (LOCAL,), max_cost=Money(0)))
    assert providers(route.attempts) == ["local"]


def test_too_slow_a_provider_is_asked_only_when_nothing_else_can_answer():
    assert providers(choose_route(Snapshot(OBJECTS, ALL, deadline_ms=100.0, strategy="best")).attempts) == ["local"]
    route = choose_route(Snapshot(OBJECTS, (VISION,), deadline_ms=100.0))
    assert decisions(route)["google_vision"] == ("first", "nothing_else_can_answer")


def test_an_escalation_must_fit_in_what_the_first_leaves_of_time_and_money():
    assert {decision for decision, _ in decisions(choose_route(Snapshot(OBJECTS, ALL, deadline_ms=460.0))).values()} == {
        "first",
        "fallback",
        "skipped",
    }
    first = changed(LOCAL, billed=True, calls=(PricedCall(OBJECTS, Money.usd("0.0005")),), worth=1.5)
    route = choose_route(Snapshot(OBJECTS, (first, REKOGNITION), max_cost=Money.usd("0.00149")))
    assert decisions(route)["rekognition"] == ("fallback", "if_it_fails")


def test_a_limit_may_be_reached_to_the_nano_dollar_and_the_millisecond():
    cheapest = Snapshot(OBJECTS, (REKOGNITION, VISION), "cheapest", max_cost=Money.usd("0.00225"))
    assert providers(choose_route(cheapest).fallbacks) == ["google_vision"]
    assert providers(choose_route(replace(cheapest, max_cost=cheapest.max_cost - Money(1))).fallbacks) == []
    assert providers(choose_route(Snapshot(OBJECTS, ALL, "best", deadline_ms=VISION.latency_ms_p95)).attempts) == ["google_vision"]
    both_in_time = LOCAL.latency_ms_p95 + REKOGNITION.latency_ms_p95
    assert decisions(choose_route(Snapshot(OBJECTS, ALL, deadline_ms=both_in_time)))["rekognition"][0] == "escalation"
    assert decisions(choose_route(Snapshot(OBJECTS, ALL, deadline_ms=both_in_time - 0.1)))["rekognition"][0] == "fallback"


def test_one_that_is_first_though_others_are_cheaper_is_called_so():
    route = choose_route(Snapshot(OBJECTS, (LOCAL, changed(VISION, worth=0.95)), multiplier=10.0))
    assert decisions(route)["google_vision"] == ("first", "expected_quality 0.90 at this price")


def test_several_are_as_fast_as_the_slowest_of_them():
    whole, quick, slow = (
        Quote(name, (PricedCall(frozenset(features), Money.usd("0.001")),), ms, quality=0.9)
        for name, features, ms in (("whole", {"objects", "text"}, 500.0), ("quick", {"objects"}, 100.0), ("slow", {"text"}, 900.0))
    )
    route = choose_route(Snapshot(frozenset({"objects", "text"}), (quick, slow, whole), "fastest"))
    assert providers(route.attempts) == ["whole"]


@pytest.mark.parametrize(
    ("quotes", "limits", "reasons"),
    [
        ((), {}, []),
        ((changed(VISION, refusal="circuit_open: ill"),), {}, ["circuit_open: ill"]),
        ((VISION, REKOGNITION), {"max_cost": Money(1)}, ["over_max_cost", "over_max_cost"]),
    ],
)
def test_a_route_without_attempts_says_why(quotes, limits, reasons):
    route = choose_route(Snapshot(OBJECTS, quotes, **limits))
    assert (route.attempts, [c.reason for c in route.considered]) == ((), reasons)


def split_quotes(a_text="0.002"):
    a = Quote("a", (PricedCall(OBJECTS, Money.usd("0.001")), PricedCall(frozenset({"text"}), Money.usd(a_text))), quality=0.7)
    b = Quote("b", (PricedCall(frozenset({"text", "faces"}), Money.usd("0.0005")),), quality=0.7)
    return a, b


def test_features_are_split_where_nobody_has_them_all():
    route = choose_route(Snapshot(frozenset({"objects", "text", "faces"}), split_quotes()))
    assert {a.provider: a.features for a in route.attempts} == {"a": OBJECTS, "b": frozenset({"text", "faces"})}
    assert sum((a.price for a in route.attempts), Money(0)) == Money.usd("0.0015"), "one call of b answers both of its features"
    assert [c.decision for c in route.considered] == ["also", "first"]


def test_features_are_split_where_that_is_cheaper_and_only_there():
    wanted = frozenset({"objects", "text"})
    assert providers(choose_route(Snapshot(wanted, split_quotes(), "cheapest")).attempts) == ["a", "b"]
    assert providers(choose_route(Snapshot(wanted, split_quotes("0.0001"), "cheapest")).attempts) == ["a"]


def test_a_split_over_the_limit_is_no_route():
    route = choose_route(Snapshot(frozenset({"objects", "faces"}), split_quotes(), max_cost=Money.usd("0.0014")))
    assert (route.attempts, {c.reason for c in route.considered}) == ((), {"over_max_cost"})


def test_a_feature_that_nobody_has_is_told_as_such_and_not_as_too_dear():
    route = choose_route(Snapshot(frozenset({"objects", "moderation"}), split_quotes()))
    assert route.attempts == ()
    assert [c.reason for c in route.considered] == ["unsupported_feature: moderation", "unsupported_feature"]


def test_a_provider_without_one_of_the_features_is_no_fallback():
    whole = Quote("whole", (PricedCall(OBJECTS | {"faces"}, Money.usd("0.001")),), quality=0.9)
    part = Quote("part", (PricedCall(OBJECTS, Money.usd("0.002")),), quality=0.5)
    route = choose_route(Snapshot(OBJECTS | {"faces"}, (whole, part)))
    assert (providers(route.attempts), route.fallbacks) == (["whole"], ())
    assert (route.considered[1].decision, route.considered[1].reason) == ("skipped", "unsupported_feature: faces")


FEATURES = ("objects", "labels", "faces", "text", "moderation")
fractions = st.none() | st.floats(0, 1) | st.just(float("nan"))


@st.composite
def quotes(draw, name):
    features = draw(st.lists(st.sampled_from(FEATURES), unique=True, max_size=5))
    cut = draw(st.integers(0, len(features)))
    parts = [frozenset(part) for part in (features[:cut], features[cut:]) if part]
    price = st.none() | st.integers(0, 5_000_000).map(Money)
    return Quote(
        name, tuple(PricedCall(part, draw(price)) for part in parts), draw(st.none() | st.floats(0, 20_000)),
        draw(fractions), draw(fractions), draw(st.booleans()), draw(st.sampled_from([None, None, "refused"])),
    )  # fmt: skip


@st.composite
def snapshots(draw):
    names = draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=4))
    return Snapshot(
        frozenset(draw(st.lists(st.sampled_from(FEATURES), unique=True, min_size=1, max_size=5))),
        tuple(draw(quotes(n)) for n in names),
        draw(st.sampled_from(["auto", "cheapest", "fastest", "best"])),
        draw(st.none() | st.integers(0, 10_000_000).map(Money)),
        draw(st.floats(0, 20_000)),
        draw(st.floats(0, 1e6)),
    )


def keeps_the_limits(snapshot):
    route = choose_route(snapshot)
    quoted = {q.provider: q for q in snapshot.quotes}
    assert route == choose_route(snapshot)
    assert [c.provider for c in route.considered] == [q.provider for q in snapshot.quotes]
    cap = snapshot.max_cost.nanos if snapshot.max_cost is not None else 10**18
    billed = sum(a.price.nanos for a in route.attempts if quoted[a.provider].billed)
    assert billed <= cap
    for attempt in (*route.attempts, *route.fallbacks):
        quote = quoted[attempt.provider]
        calls = [call for call in quote.calls if call.features & attempt.features]
        assert attempt.price == sum((call.price for call in calls), Money(0)), "and no call without a price"
        assert quote.refusal is None
        assert not quote.billed or attempt.price.nanos <= cap
    for one in route.considered:
        if one.decision != "escalation":
            continue
        quote = quoted[one.provider]
        assert not quote.billed or billed + one.price.nanos <= cap
        slowest = max(quoted[a.provider].latency_ms_p95 or 0 for a in route.attempts)
        assert slowest + (quote.latency_ms_p95 or 0) <= snapshot.deadline_ms
    if route.attempts:
        covered = [f for a in route.attempts for f in a.features]
        assert sorted(covered) == sorted(snapshot.features), "every feature once"


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(snapshots())
def test_no_route_is_over_the_limits(snapshot):
    keeps_the_limits(snapshot)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(snapshots(), min_size=10, max_size=10))
def test_no_route_of_a_hundred_thousand_is_over_the_limits(ten):
    """To draw one takes a hundred times as long as to decide it: so everybody's quotes are tried under everybody's limits."""
    for one, other in product(ten, ten):
        keeps_the_limits(replace(one, quotes=other.quotes))


def throttled(quote):
    return changed(quote, throttled="throttled: it is to be left alone for 2.0 s more")


@pytest.mark.parametrize("strategy", ["auto", "cheapest", "fastest", "best"])
def test_who_was_asked_too_often_comes_after_all_others_and_follows_no_good_answer(strategy):
    route = choose_route(Snapshot(OBJECTS, (throttled(LOCAL), throttled(REKOGNITION), VISION), strategy=strategy))
    assert providers(route.attempts) == ["google_vision"]
    assert sorted(providers(route.fallbacks)) == ["local", "rekognition"]
    assert "escalation" not in {decision for decision, _ in decisions(route).values()}
    assert decisions(route)["rekognition"] == ("fallback", "throttled: it is to be left alone for 2.0 s more")


def test_and_is_asked_where_nobody_else_can_answer_within_the_money():
    slow = changed(VISION, latency_ms_p95=90_000)
    assert providers(choose_route(Snapshot(OBJECTS, (throttled(REKOGNITION), slow))).attempts) == ["google_vision"], "late, but welcome"
    route = choose_route(Snapshot(OBJECTS, (throttled(REKOGNITION), changed(VISION, refusal="circuit_open: ill"))))
    assert providers(route.attempts) == ["rekognition"]
    assert decisions(route)["rekognition"] == ("first", "nothing_else_can_answer")
    free = changed(LOCAL, calls=(PricedCall(OBJECTS, Money(0)),))
    poor = choose_route(Snapshot(OBJECTS, (free, throttled(REKOGNITION)), max_cost=Money(5)))
    assert providers(poor.fallbacks) == []
    assert decisions(poor)["rekognition"] == ("skipped", "over_max_cost")


def test_an_answer_in_place_of_one_that_was_asked_too_often_is_degraded_only_where_that_would_have_been_first():
    quotes = (LOCAL, throttled(changed(REKOGNITION, quality=0.9, worth=0.9)))
    assert choose_route(Snapshot(OBJECTS, quotes, strategy="best")).degraded
    assert not choose_route(Snapshot(OBJECTS, quotes, strategy="cheapest")).degraded
