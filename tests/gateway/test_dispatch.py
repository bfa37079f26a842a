import threading
import time

import pytest

from gateway import errors
from providers.contract import Health
from providers.errors import (
    ImageRefused,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderTimeout,
    ProviderUnreachable,
)
from tests.gateway.toys import Toy, ask, raises, sleeps


@pytest.fixture
def detect(toybox):
    def detect(*toys, deadline_ms=2_000, max_cost=None, **options):
        return ask(toybox.dispatcher(*toys), deadline_ms=deadline_ms, max_cost=max_cost, **options)

    return detect


def outcomes(outcome):
    return [(attempt.provider, attempt.outcome) for attempt in outcome.attempts]


def test_the_first_of_the_list_answers_and_nobody_else_is_asked(detect):
    first, second = Toy("rekognition"), Toy("local")
    outcome = detect(first, second)
    assert (outcome.provider, outcome.model, outcome.degraded) == ("rekognition", "rekognition 1", False)
    assert outcomes(outcome) == [("rekognition", "answered")]
    assert second.asked == 0
    assert [(one.provider, one.decision) for one in outcome.considered] == [("rekognition", "first"), ("local", "fallback")]


@pytest.mark.parametrize(
    "error",
    [ProviderFailed("500"), ProviderTimeout("slow"), ProviderMisconfigured("no credentials"), ImageRefused("no"), RuntimeError("our bug")],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_that_can_not_be_retried_goes_straight_to_the_next(error, detect):
    first, second = Toy("rekognition", raises(error)), Toy("local")
    outcome = detect(first, second)
    assert outcome.provider == "local"
    assert outcome.degraded
    assert first.asked == 1, "what may have been billed, or can't succeed, is not tried again"


@pytest.mark.parametrize("error", [ProviderThrottled("slow down"), ProviderUnreachable("refused")], ids=lambda e: type(e).__name__)
def test_what_was_surely_not_billed_is_tried_once_more_on_the_same_provider(error, detect):
    first = Toy("rekognition", raises(error, times=1))
    outcome = detect(first, Toy("local"))
    assert (outcome.provider, first.asked) == ("rekognition", 2)


def test_a_provider_that_asks_for_more_time_than_there_is_is_not_tried_again(detect):
    first = Toy("rekognition", raises(ProviderThrottled("slow down", retry_after_s=30)))
    assert detect(first, Toy("local")).provider == "local"
    assert first.asked == 1


def test_a_late_provider_leaves_time_for_the_next_one(detect):
    slow, quick = Toy("rekognition", sleeps(1.5)), Toy("local")
    outcome = detect(slow, quick, deadline_ms=600)
    assert outcome.provider == "local"
    assert outcomes(outcome) == [("rekognition", "late"), ("local", "answered")]
    assert outcome.latency_ms < 600


def test_a_late_answer_still_wins_when_the_next_one_is_later(detect):
    outcome = detect(Toy("rekognition", sleeps(0.5)), Toy("local", sleeps(5)), deadline_ms=800)
    assert outcome.provider == "rekognition"
    assert not outcome.degraded


def test_the_in_house_model_is_asked_as_soon_as_a_paid_answer_is_later_than_usual(toybox):
    paid, local = Toy("rekognition", lambda nth: time.sleep(3 if nth > 20 else 0.01)), Toy("local")
    dispatcher = toybox.dispatcher(paid, local)
    for _ in range(20):
        ask(dispatcher)
    time.sleep(0.6)  # the tracker looks at its window again
    outcome = ask(dispatcher, deadline_ms=2_500)
    assert outcome.provider == "local"
    assert outcome.latency_ms < 1_000, "hedged after the usual time, not at the end of the deadline"


def test_a_second_paid_provider_is_hedged_to_only_when_the_request_asks(toybox):
    def usual_then_late(nth):
        time.sleep(1.0 if nth > 20 else 0.01)

    for hedge, expected in ((False, "rekognition"), (True, "google_vision")):
        first, second = Toy("rekognition", usual_then_late), Toy("google_vision")
        dispatcher = toybox.dispatcher(first, second)
        for _ in range(20):
            ask(dispatcher)
        time.sleep(0.6)
        assert ask(dispatcher, deadline_ms=4_000, hedge=hedge).provider == expected


def test_nothing_in_time_is_a_deadline_and_ends_at_it(detect):
    started = time.monotonic()
    with pytest.raises(errors.DeadlineExceeded):
        detect(Toy("rekognition", sleeps(2)), Toy("local", sleeps(2)), deadline_ms=300)
    assert time.monotonic() - started < 1.0


def test_a_paid_call_is_given_time_beyond_the_deadline_to_settle_and_the_in_house_model_is_not(detect):
    paid, local = Toy("rekognition", raises(ProviderFailed("x"))), Toy("local")
    detect(paid, local, deadline_ms=1_000)
    assert paid.timeouts_s[0] > 1.0
    assert local.timeouts_s[0] <= 1.0


def test_every_call_of_a_provider_must_answer(detect):
    def second_call_fails(nth):
        if nth == 2:
            raise ProviderFailed("faces are down")

    both, local = Toy("rekognition", second_call_fails, ("objects", "faces")), Toy("local", features=("objects", "faces"))
    outcome = detect(both, local, features=("objects", "faces"))
    assert outcome.provider == "local"
    assert {found.feature for found in outcome.detections} == {"objects", "faces"}
    assert sorted(outcomes(outcome))[-1] == ("rekognition", "failed")


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda toy: setattr(toy, "refuses", "smaller than 80 x 80 pixels"), "image_refused: smaller than 80 x 80 pixels"),
        (lambda toy: setattr(toy, "features", frozenset({"text"})), "unsupported_feature: objects"),
    ],
)
def test_a_provider_that_can_not_be_asked_is_left_out_with_its_reason(prepare, reason, detect):
    toy = Toy("rekognition")
    prepare(toy)
    outcome = detect(toy, Toy("local"))
    assert (outcome.considered[0].decision, outcome.considered[0].reason) == ("skipped", reason)
    assert toy.asked == 0


def test_a_provider_that_is_not_ready_is_asked_last_and_still_answers_if_it_can(detect):
    loading, failing = Toy("local"), Toy("rekognition", raises(ProviderFailed("500")))
    loading.is_ready = Health(ready=False, detail="still loading")
    outcome = detect(loading, failing)
    assert outcomes(outcome) == [("rekognition", "failed"), ("local", "answered")]
    assert (outcome.considered[0].decision, outcome.considered[0].reason) == ("fallback", "not_ready: still loading")


def test_when_nobody_can_be_asked_every_reason_is_told(detect):
    toy = Toy("local", features=("labels",))
    with pytest.raises(errors.NoProviderAvailable) as told:
        detect(toy)
    assert told.value.members["providers"] == {"local": "unsupported_feature: objects"}


def test_a_picture_that_nobody_takes_is_the_pictures_fault(detect):
    toy = Toy("rekognition")
    toy.refuses = "smaller than 80 x 80 pixels"
    with pytest.raises(errors.InvalidImage, match="80 x 80"):
        detect(toy)


def test_the_circuit_opens_after_five_failures_and_says_so(toybox):
    sick, local = Toy("rekognition", raises(ProviderFailed("500"))), Toy("local")
    dispatcher = toybox.dispatcher(sick, local)
    last = [ask(dispatcher) for _ in range(8)][-1]
    assert sick.asked == 5
    assert [one.reason for one in last.considered] == ["circuit_open: failed: 500", "only_one"]


def test_a_dry_run_tells_the_route_and_asks_nobody(detect):
    toy = Toy("local")
    outcome = detect(toy, dry_run=True)
    assert toy.asked == 0
    assert outcome.attempts == ()
    assert outcome.considered[0].decision == "first"


def test_an_unknown_provider_is_named(detect):
    with pytest.raises(errors.InvalidParameter, match="nobody") as told:
        detect(Toy("local"), providers=("nobody",))
    assert told.value.members["parameter"] == "providers"


def test_a_hanging_provider_takes_none_of_the_others_threads(toybox):
    release = threading.Event()
    hanging, local = Toy("rekognition", lambda _: release.wait(10)), Toy("local")
    dispatcher = toybox.dispatcher(hanging, local, threads=4)
    results = []

    def ask_both():
        results.append(ask(dispatcher, deadline_ms=700).provider)

    threads = [threading.Thread(target=ask_both) for _ in range(12)]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    only_local = ask(dispatcher, providers=("local",))
    assert only_local.provider == "local"
    assert time.monotonic() - started < 0.5
    for thread in threads:
        thread.join()
    release.set()
    assert results == ["local"] * 12
    assert hanging.asked == 4, "the fifth call found no thread and went on at once"


def test_a_feature_that_is_ill_says_nothing_about_the_others(toybox):
    def text_fails(_nth):
        if toy.timeouts_s and current[0] == "text":
            raise ProviderFailed("text is down")

    current = ["text"]
    toy, local = Toy("rekognition", text_fails, ("objects", "text")), Toy("local", features=("objects", "text"))
    dispatcher = toybox.dispatcher(toy, local)
    for _ in range(6):
        ask(dispatcher, features=("text",))
    current[0] = "objects"
    both = ask(dispatcher, features=("objects", "text"))
    assert both.considered[0].reason == "circuit_open: failed: text is down", "what needs the ill feature is not sent"
    assert ask(dispatcher, features=("objects",)).provider == "rekognition"


def seen_ms(line, feature, ms):
    for _ in range(20):
        line.latency.record(f"{line.name}:{feature}", ms)


@pytest.mark.parametrize(
    ("strategy", "first"), [("auto", "google_vision"), ("best", "google_vision"), ("cheapest", "local"), ("fastest", "rekognition")]
)
def test_the_strategy_decides_who_is_asked_first(toybox, strategy, first):
    dispatcher = toybox.dispatcher(Toy("google_vision"), Toy("rekognition"), Toy("local"))
    for name, ms in (("google_vision", 500), ("rekognition", 100), ("local", 300)):
        seen_ms(dispatcher.lines[name], "objects", ms)
    outcome = ask(dispatcher, strategy=strategy)
    assert outcome.provider == first
    assert next(one.provider for one in outcome.considered if one.decision == "first") == first


def test_a_provider_that_is_usually_slower_than_the_deadline_is_not_tried(toybox):
    slow, local = Toy("rekognition"), Toy("local")
    dispatcher = toybox.dispatcher(slow, local)
    seen_ms(dispatcher.lines["rekognition"], "objects", 900)
    outcome = ask(dispatcher, deadline_ms=800)
    assert (outcome.provider, outcome.degraded, slow.asked) == ("local", True, 0)
    assert (outcome.considered[0].decision, outcome.considered[0].reason) == ("skipped", "over_deadline")


def test_unless_nothing_else_can_answer(toybox):
    slow = Toy("rekognition")
    dispatcher = toybox.dispatcher(slow)
    seen_ms(dispatcher.lines["rekognition"], "objects", 900)
    assert ask(dispatcher, deadline_ms=800).provider == "rekognition"


def test_features_that_nobody_has_together_are_split_over_providers_and_answered_together(toybox):
    objects, faces = Toy("rekognition", features=("objects",)), Toy("google_vision", features=("faces",))
    outcome = ask(toybox.dispatcher(objects, faces), features=("objects", "faces"))
    assert sorted(outcomes(outcome)) == [("google_vision", "answered"), ("rekognition", "answered")]
    assert {(found.provider, found.feature) for found in outcome.detections} == {("rekognition", "objects"), ("google_vision", "faces")}
    assert set(outcome.provider.split(", ")) == {"rekognition", "google_vision"}
    assert str(outcome.cost) == "0.002"


def test_a_split_that_half_fails_is_no_answer_and_says_so(toybox):
    objects, faces = Toy("rekognition", features=("objects",)), Toy("google_vision", raises(ProviderFailed("500")), ("faces",))
    with pytest.raises(errors.NoProviderAvailable) as told:
        ask(toybox.dispatcher(objects, faces), features=("objects", "faces"))
    assert told.value.charged, "one half was billed"
