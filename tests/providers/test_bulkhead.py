import threading

import pytest

from providers.bulkhead import Attempt, Bulkhead, current_attempt
from providers.errors import ImageRefused, ProviderFailed, ProviderOverloaded, ProviderTimeout, ProviderUnreachable
from tests.waiting import until


@pytest.fixture
def bulkhead():
    made = Bulkhead("somebody", 2)
    yield made
    made.close()


def test_it_gives_back_what_the_work_answers(bulkhead):
    assert bulkhead.run(lambda attempt: (attempt is current_attempt(), threading.current_thread().name.startswith("somebody")), 5) == (
        True,
        True,
    )


def test_a_full_one_refuses_at_once_and_frees_its_threads(bulkhead):
    release, held = threading.Event(), threading.Barrier(3)

    def hold(_: Attempt) -> None:
        held.wait()
        release.wait()

    callers = [threading.Thread(target=bulkhead.run, args=(hold, 5)) for _ in range(2)]
    for caller in callers:
        caller.start()
    held.wait()
    with pytest.raises(ProviderOverloaded):
        bulkhead.run(lambda _: None, 5)
    release.set()
    for caller in callers:
        caller.join()
    assert bulkhead.run(lambda _: "free", 5) == "free"


def _stuck_at(stage: str, given_up: threading.Event, seen: list[Exception]):
    def work(attempt: Attempt) -> None:
        if stage != "preparing":
            attempt.connecting()
        if stage == "sent":
            attempt.sending()
        given_up.wait(10)
        try:
            attempt.sending()
        except ProviderTimeout as error:
            seen.append(error)
            raise

    return work


@pytest.mark.parametrize(
    ("stage", "told"), [("preparing", ProviderOverloaded), ("connecting", ProviderUnreachable), ("sent", ProviderTimeout)]
)
def test_what_the_end_of_the_time_means_depends_on_what_was_sent(bulkhead, stage, told):
    seen: list[Exception] = []
    given_up = threading.Event()
    with pytest.raises(told) as caught:
        bulkhead.run(_stuck_at(stage, given_up, seen), 0.5)
    assert caught.value.maybe_billed is (stage == "sent")
    given_up.set()
    until(lambda: seen, within_s=10)


def test_who_waits_hangs_up(bulkhead):
    hung_up = threading.Event()

    def work(attempt: Attempt) -> None:
        attempt.sending(hung_up.set)
        hung_up.wait()

    with pytest.raises(ProviderTimeout):
        bulkhead.run(work, 0.02)
    assert hung_up.is_set()


def test_a_provider_error_passes(bulkhead):
    def work(_: Attempt) -> None:
        raise ImageRefused("no")

    with pytest.raises(ImageRefused):
        bulkhead.run(work, 5)


@pytest.mark.parametrize("bug", [KeyError("x"), TimeoutError("a socket's own"), RecursionError()])
def test_anything_else_is_a_failure_that_may_have_been_billed(bulkhead, bug):
    def work(_: Attempt) -> None:
        raise bug

    with pytest.raises(ProviderFailed) as caught:
        bulkhead.run(work, 5)
    assert caught.value.maybe_billed
    assert caught.value.__cause__ is bug


def test_the_time_left_is_never_none():
    attempt = Attempt(-1.0)
    assert attempt.left_s > 0
    assert Attempt(10.0).left_s == pytest.approx(10.0, abs=1)
