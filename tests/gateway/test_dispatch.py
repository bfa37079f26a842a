"""Who is asked, in which order, and what becomes of a failure."""

import re
import threading
import time
from contextlib import suppress

import pytest

from gateway import errors
from gateway.monitoring.exposition import exposition
from providers.contract import Health
from providers.errors import (
    ImageRefused,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderThrottled,
    ProviderTimeout,
    ProviderUnreachable,
)
from tests.gateway.toys import Toy, ask, outcomes, raises, seen_ms
from tests.waiting import until


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


def test_every_call_of_a_provider_must_answer(detect):
    def second_call_fails(nth):
        if nth == 2:
            raise ProviderFailed("faces are down")

    both, local = Toy("rekognition", second_call_fails, ("objects", "faces")), Toy("local", features=("objects", "faces"))
    outcome = detect(both, local, features=("objects", "faces"))
    assert outcome.provider == "local"
    assert {found.feature for found in outcome.detections} == {"objects", "faces"}
    assert ("rekognition", "failed") in outcomes(outcome)  # the other call may still be on its way


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


def test_a_throttled_try_is_not_repeated_once_somebody_else_has_answered(toybox):
    answered = threading.Event()

    def throttled(_nth):
        answered.wait(60)
        raise ProviderThrottled("slow down", retry_after_s=0.2)

    paid, local = Toy("rekognition", throttled), Toy("local")
    dispatcher = toybox.dispatcher(paid, local)
    seen_ms(dispatcher.lines["rekognition"], "objects", 20)
    assert ask(dispatcher).provider == "local"
    answered.set()
    time.sleep(0.6)
    assert paid.asked == 1


@pytest.mark.parametrize("error", [ProviderThrottled("slow down", retry_after_s=60), ImageRefused("no")], ids=lambda e: type(e).__name__)
def test_a_probe_that_says_nothing_about_health_leaves_its_place_to_the_next(toybox, error):
    def fails_then(nth):
        raise ProviderFailed("500") if nth <= 5 else error

    paid, local = Toy("rekognition", fails_then), Toy("local")
    dispatcher = toybox.dispatcher(paid, local)
    for _ in range(6):
        ask(dispatcher)
    assert paid.asked == 5
    for circuit in dispatcher.lines["rekognition"].breaker._circuits.values():
        circuit.open_until = time.monotonic()
    ask(dispatcher, deadline_ms=60_000)
    assert paid.asked == 6
    assert not dispatcher.lines["rekognition"].circuit_problem(frozenset({"objects"})), "the probe does not keep its place for a minute"


@pytest.fixture
def sick(toybox):
    """A model whose circuit is half open: a probe is on its way, tried again, and so is `old`, a call from before the circuit opened."""

    class Sick:
        old_may_end, probe_may_end = threading.Event(), threading.Event()
        old_error = ProviderOverloaded("the queue is full")

        def behave(self, nth):
            if 2 <= nth <= 6:
                raise ProviderFailed("500")
            if nth == 7:
                raise ProviderOverloaded("the queue is full")
            if nth == 8:
                self.probe_may_end.wait(60)
                return
            self.old_may_end.wait(60)  # also where it is tried again
            raise self.old_error

        def ask_behind(self):
            def run():
                with suppress(errors.GatewayError):
                    ask(self.dispatcher)

            thread = threading.Thread(target=run)
            thread.start()
            return thread

    sick = Sick()
    sick.toy = Toy("local", sick.behave)
    sick.dispatcher = toybox.dispatcher(sick.toy)
    sick.old = sick.ask_behind()
    until(lambda: sick.toy.asked == 1)
    for _ in range(5):
        with pytest.raises(errors.NoProviderAvailable):
            ask(sick.dispatcher)
    sick.circuit = sick.dispatcher.lines["local"].breaker._circuits["local:objects"]
    sick.circuit.open_until = time.monotonic()
    sick.probe = sick.ask_behind()
    until(lambda: sick.toy.asked == 8)
    yield sick
    sick.old_may_end.set()
    sick.probe_may_end.set()
    sick.probe.join()


def test_a_probe_that_is_tried_again_keeps_its_place(sick):
    with pytest.raises(errors.NoProviderAvailable, match="circuit_open"):
        ask(sick.dispatcher)
    assert sick.toy.asked == 8


def test_a_call_from_before_the_circuit_opened_lets_no_second_probe_pass(sick):
    sick.old_may_end.set()
    sick.old.join()
    asked = sick.toy.asked
    with pytest.raises(errors.NoProviderAvailable, match="circuit_open"):
        ask(sick.dispatcher)
    assert sick.toy.asked == asked


def test_a_failure_from_before_the_circuit_opened_does_not_prolong_the_rest(sick):
    sick.old_error = ProviderFailed("500")
    sick.old_may_end.set()
    sick.old.join()
    assert sick.circuit.times_opened == 1
    sick.probe_may_end.set()
    sick.probe.join()
    assert not sick.dispatcher.lines["local"].circuit_problem(frozenset({"objects"}))


def test_calls_are_counted_also_where_none_of_them_has_answered(detect):
    def failed():
        found = re.search(rb'gateway_attempts_total\{outcome="failed",provider="rekognition"\} (\S+)', exposition("")[0])
        return float(found[1]) if found else 0.0

    before = failed()
    with pytest.raises(errors.NoProviderAvailable):
        detect(Toy("rekognition", raises(ProviderFailed("500"))))
    assert failed() == before + 1
