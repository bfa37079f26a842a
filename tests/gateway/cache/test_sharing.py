"""Requests of toy providers, on one real ledger: who asks, who waits, and what is kept."""

import io
import threading
import time
from datetime import date

import numpy as np
import PIL.Image
import pytest

from cost.ledger import Budget
from cost.money import FREE, Money
from gateway import errors
from gateway.cache.store import MemoryStore
from gateway.metering import Bill
from providers.contract import Answer
from providers.errors import ImageRefused, ProviderFailed, ProviderThrottled, ProviderTimeout
from providers.images import ImageLimits, read_image
from tests.gateway.toys import Toy, ask, raises, sleeps

LIMITS = ImageLimits(formats=frozenset({"jpeg", "png", "webp", "tiff"}))
PIXELS = np.random.default_rng(3).integers(0, 256, (60, 80, 3), np.uint8)


def saved(kind="PNG", pixels=PIXELS, **how):
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, kind, **how)
    return read_image(out.getvalue(), LIMITS)


def turned(orientation, transpose):
    """The same picture to the eye: its pixels lie the other way, and EXIF says so."""
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    PIL.Image.fromarray(PIXELS).transpose(transpose).save(out, "PNG", exif=exif)
    return read_image(out.getvalue(), LIMITS)


@pytest.fixture
def cached(toybox):
    def cached(*toys, **more):
        return toybox.dispatcher(*toys, **{"store": MemoryStore()} | more)

    return cached


def rows_of(toybox):
    for ledger in toybox.ledgers:  # what waits to be written is written at the end
        ledger.close()
    return toybox.ledgers[0].costs(date.min, date.max, [])


def test_a_known_picture_costs_nothing_and_says_what_it_saved(cached, toybox):
    toy = Toy("rekognition")
    dispatcher = cached(toy)
    first, second = ask(dispatcher, saved()), ask(dispatcher, saved())
    assert (first.cache, str(first.cost), second.cache, second.cost, toy.asked) == ("miss", "0.001", "hit", FREE, 1)
    assert (second.detections, second.provider, second.model, second.attempts) == (first.detections, "rekognition", "rekognition 1", ())
    assert second.id != first.id
    (row,) = rows_of(toybox)
    assert (str(row.cost), str(row.avoided), row.calls) == ("0.001", "0.001", 1)


SAME = {
    "another container": saved("WEBP", lossless=True, exact=True),
    "a third": saved("TIFF"),
    "packed otherwise": saved(compress_level=1),
    "with comments": saved("PNG", dpi=(300, 300)),
    "on its side, and EXIF says so": turned(6, PIL.Image.Transpose.ROTATE_90),
    "mirrored, and EXIF says so": turned(2, PIL.Image.Transpose.FLIP_LEFT_RIGHT),
}


@pytest.mark.parametrize("case", SAME)
def test_the_same_pixels_in_other_bytes_are_a_hit_and_then_known_by_their_bytes(case, cached):
    toy = Toy("rekognition")
    dispatcher = cached(toy)
    ask(dispatcher, saved())
    same = SAME[case]
    assert same.digest != saved().digest
    outcome = ask(dispatcher, same)
    assert (outcome.cache, toy.asked, outcome.image.digest) == ("hit", 1, same.digest)
    kept = dispatcher.sharing.results.find(dispatcher.sharing.results.place(outcome.options, bill_of("tester")), same.digest)
    assert (kept.digest, kept.format, kept.width, kept.height) == (same.digest, same.format, 80, 60)


OTHER = {
    "one pixel brighter": saved(pixels=PIXELS + (np.arange(60 * 80 * 3).reshape(60, 80, 3) == 7).astype(np.uint8)),
    "mirrored, and EXIF says nothing": saved(pixels=PIXELS[:, ::-1]),
    "the same bytes of pixels in another shape": saved(pixels=PIXELS.reshape(80, 60, 3)),
    "saved with loss": saved("JPEG"),
}


@pytest.mark.parametrize("case", OTHER)
def test_another_picture_is_a_miss(case, cached):
    toy = Toy("rekognition")
    dispatcher = cached(toy)
    ask(dispatcher, saved())
    assert ask(dispatcher, OTHER[case]).cache == "miss"
    assert toy.asked == 2


def bill_of(client):
    return Bill("id", client, tenant=client)


FEATURES = ("objects", "faces", "text")


@pytest.mark.parametrize(
    ("first", "second", "use"),
    [
        ({}, {"min_confidence": 0, "max_results": 1}, "hit"),
        ({"min_confidence": 1}, {}, "hit"),
        ({"features": ("objects", "faces")}, {"features": ("faces",)}, "hit"),
        ({"features": ("objects",)}, {"features": ("objects", "faces")}, "miss"),
        ({}, {"max_cost": FREE}, "hit"),
        ({}, {"tags": {"team": "shop"}, "deadline_ms": 500, "hedge": True}, "hit"),
        ({}, {"client": "another"}, "miss"),
        ({}, {"strategy": "cheapest"}, "miss"),
        ({}, {"providers": ("rekognition",)}, "miss"),
        ({}, {"providers": ("rekognition", "google_vision")}, "hit"),
        ({}, {"providers": ("google_vision", "rekognition")}, "miss"),
        ({"providers": ("google_vision",)}, {"providers": ("google_vision",), "strategy": "fastest"}, "hit"),
        ({"strategy": "cheapest"}, {"strategy": "cheapest", "providers": ("google_vision", "rekognition")}, "hit"),
        ({"cache": "off"}, {}, "miss"),
        ({}, {"cache": "off"}, "off"),
        ({}, {"cache": "refresh"}, "miss"),
        ({"cache": "refresh"}, {}, "hit"),
        ({"dry_run": True}, {}, "miss"),
    ],
    ids=str,
)
def test_what_serves_whom(first, second, use, cached):
    dispatcher = cached(Toy("rekognition", features=FEATURES), Toy("google_vision", features=FEATURES))
    ask(dispatcher, saved(), **first)
    outcome = ask(dispatcher, saved(), **second)
    assert outcome.cache == use
    assert {found.feature for found in outcome.kept} <= set(outcome.options.features)


def test_where_the_operator_says_so_one_clients_answer_serves_another(cached):
    dispatcher = cached(Toy("rekognition"), shared=True)
    ask(dispatcher, saved(), client="one")
    assert ask(dispatcher, saved(), client="another").cache == "hit"


def test_answers_of_stand_ins_are_never_taken_for_real_ones(toybox):
    store = MemoryStore()
    ask(toybox.dispatcher(Toy("rekognition"), store=store, simulated=True), saved())
    assert ask(toybox.dispatcher(Toy("rekognition"), store=store), saved()).cache == "miss"


def test_a_provider_more_or_another_order_of_them_is_another_choice(toybox):
    store, one, two = MemoryStore(), Toy("rekognition"), Toy("google_vision")
    ask(toybox.dispatcher(one, store=store), saved())
    assert ask(toybox.dispatcher(one, two, store=store), saved()).cache == "miss"
    assert ask(toybox.dispatcher(two, one, store=store), saved()).cache == "miss"
    assert ask(toybox.dispatcher(two, one, store=store), saved()).cache == "hit"


def test_a_new_model_is_a_miss_not_a_lie(cached):
    class Learns(Toy):
        version = 1

        def detect(self, image, call, timeout_s):
            answer = super().detect(image, call, timeout_s)
            return Answer(answer.detections, f"model {self.version}")

    toy = Learns("rekognition")
    dispatcher = cached(toy)
    ask(dispatcher, saved())
    toy.version = 2
    assert ask(dispatcher, saved()).cache == "hit", "nobody has seen the new one yet"
    ask(dispatcher, saved("JPEG"))
    assert (ask(dispatcher, saved()).cache, ask(dispatcher, saved()).model) == ("miss", "model 2")


def test_a_new_version_that_the_provider_announces_is_a_miss_at_once(toybox):
    class Announces(Toy):
        model = "first"

    toy = Announces("local")
    dispatcher = toybox.dispatcher(toy, store=MemoryStore())
    ask(dispatcher, saved())
    toy.model = "second"
    assert ask(dispatcher, saved()).cache == "miss"


@pytest.mark.parametrize("error", [ProviderFailed("500"), ProviderTimeout("slow")], ids=repr)
def test_a_degraded_answer_is_not_kept_and_a_failure_is_not_remembered(error, cached):
    paid = Toy("rekognition", raises(error, times=1))
    dispatcher = cached(paid, Toy("local"))
    first = ask(dispatcher, saved(), strategy="best")
    assert (first.provider, first.degraded) == ("local", True)
    assert (ask(dispatcher, saved(), strategy="best").cache, ask(dispatcher, saved(), strategy="best").provider) == ("miss", "rekognition")


def test_an_answer_in_place_of_a_provider_that_is_left_alone_is_degraded_and_not_kept(cached):
    paid = Toy("rekognition", raises(ProviderThrottled("429", retry_after_s=60), times=1))
    dispatcher = cached(paid, Toy("local"))
    told = [ask(dispatcher, saved(), strategy="best") for _ in range(3)]
    assert [(one.provider, one.degraded, one.cache) for one in told] == [("local", True, "miss")] * 3
    assert paid.asked == 1


def test_an_answer_cut_short_by_money_is_not_kept(cached):
    dispatcher = cached(Toy("rekognition"), Toy("local"))
    assert ask(dispatcher, saved(), max_cost=Money.usd("0.0001")).degraded
    second = ask(dispatcher, saved())
    assert (second.cache, second.provider) == ("miss", "rekognition")


def test_a_refusal_is_remembered_under_the_name_of_who_refused(cached):
    paid, other = Toy("rekognition", raises(ImageRefused("too dark"))), Toy("google_vision")
    dispatcher = cached(paid, other)
    ask(dispatcher, saved())
    outcome = ask(dispatcher, saved(), strategy="fastest")
    assert (outcome.cache, outcome.provider, paid.asked) == ("miss", "google_vision", 1)
    assert [one.reason for one in outcome.considered if one.provider == "rekognition"] == ["image_refused: too dark"]
    ask(dispatcher, saved("JPEG"))
    assert paid.asked == 2, "another picture is asked for"
    ask(dispatcher, saved(), cache="refresh")
    assert paid.asked == 3, "who wants a fresh answer gets one"


def test_a_picture_that_everybody_refuses_is_told_so_again_without_asking(cached):
    paid = Toy("rekognition", raises(ImageRefused("too dark")))
    dispatcher = cached(paid)
    for _ in range(3):
        with pytest.raises(errors.InvalidImage, match="too dark"):
            ask(dispatcher, saved())
    assert paid.asked == 1


def together(count, work):
    results = [None] * count

    def run(nth):
        try:
            results[nth] = work(nth)
        except Exception as error:  # noqa: BLE001 -- told to the test
            results[nth] = error

    threads = [threading.Thread(target=run, args=(nth,)) for nth in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_identical_requests_pay_once_over_threads_and_over_gateways_that_share_only_the_database(toybox):
    toys = [Toy("rekognition", sleeps(0.4)) for _ in range(3)]
    replicas = [toybox.dispatcher(toy, store=MemoryStore(), threads=40) for toy in toys]
    outcomes = together(60, lambda nth: ask(replicas[nth % 3], saved() if nth % 2 else SAME["a third"], deadline_ms=9_000))
    assert sum(toy.asked for toy in toys) == 1
    assert sorted(outcome.cache for outcome in outcomes).count("miss") == 1
    assert {outcome.cache for outcome in outcomes} == {"miss", "hit", "joined"} or {outcome.cache for outcome in outcomes} == {
        "miss",
        "joined",
    }
    assert {outcome.detections for outcome in outcomes} == {outcomes[0].detections}
    assert sum((outcome.cost for outcome in outcomes), FREE) == Money.usd("0.001")
    row = rows_of(toybox)[0]
    assert (str(row.cost), str(row.avoided)) == ("0.001", "0.059")


def test_when_a_popular_answer_expires_one_request_asks(cached):
    toy = Toy("rekognition", sleeps(0.2))
    dispatcher = cached(toy, ttl_s=1, threads=40, chance=lambda: 0.0)
    ask(dispatcher, saved())
    time.sleep(1.1)
    outcomes = together(30, lambda _: ask(dispatcher, saved(), deadline_ms=9_000))
    assert toy.asked == 2
    assert sorted({outcome.cache for outcome in outcomes}) in (["joined", "miss"], ["hit", "joined", "miss"])


def test_a_follower_that_the_leaders_answer_does_not_satisfy_goes_its_own_way(cached):
    paid, local = Toy("rekognition", sleeps(0.1)), Toy("local", sleeps(0.4))
    dispatcher = cached(paid, local)

    def one(nth):
        if nth:
            time.sleep(0.15)
        return ask(dispatcher, saved(), max_cost=None if nth else Money.usd("0.0001"), deadline_ms=5_000)

    poor, *rich = together(4, one)
    assert (poor.provider, poor.degraded) == ("local", True)
    assert {outcome.provider for outcome in rich} == {"rekognition"}
    assert paid.asked == 1


def test_when_the_leader_fails_one_of_the_others_asks(toybox):
    def first_fails(nth):
        time.sleep(0.3)
        if nth == 1:
            raise ProviderFailed("500")

    toy = Toy("rekognition", first_fails)
    replicas = [toybox.dispatcher(toy, store=MemoryStore(), threads=40) for _ in range(2)]
    outcomes = together(20, lambda nth: ask(replicas[nth % 2], saved(), deadline_ms=9_000))
    assert toy.asked == 2
    assert sum(isinstance(outcome, errors.GatewayError) for outcome in outcomes) == 1


def test_without_money_left_the_kept_answer_still_serves(cached, toybox):
    dispatcher = cached(Toy("rekognition"))
    ask(dispatcher, saved())
    toybox.ledgers[-1].put_budget(Budget("none", "global", "", "day", "UTC", Money.usd("0.001"), when_exhausted="reject"))
    assert ask(dispatcher, saved()).cache == "hit"
    with pytest.raises(errors.BudgetExhausted):
        ask(dispatcher, saved("JPEG"))


def test_who_waits_falls_back_to_the_in_house_model_in_time_and_pays_nobody(cached):
    over = threading.Event()
    paid, local = Toy("rekognition", lambda _: over.wait(20)), Toy("local")
    dispatcher = cached(paid, local, threads=8)
    outcomes = together(5, lambda _: ask(dispatcher, saved(), deadline_ms=3_000, strategy="best"))
    over.set()
    assert {(outcome.provider, outcome.degraded) for outcome in outcomes} == {("local", True)}
    assert paid.asked == 1
    told = {one.provider: one.reason for outcome in outcomes for one in outcome.considered if one.decision == "skipped"}
    assert told == {"rekognition": "an identical request has asked it and is not back yet"}


def test_an_answer_that_comes_after_its_client_has_gone_is_kept(cached, toybox):
    over = threading.Event()
    paid, local = Toy("rekognition", lambda _: over.wait(20)), Toy("local")
    dispatcher = cached(paid, local)
    first = ask(dispatcher, saved(), deadline_ms=1_000, strategy="best")
    assert (first.provider, first.degraded) == ("local", True)
    over.set()
    second = ask(dispatcher, saved(), deadline_ms=20_000, strategy="best")
    assert (second.provider, second.cost, paid.asked) == ("rekognition", FREE, 1)
    assert second.cache in {"hit", "joined"}


def test_what_is_on_its_way_while_a_gateway_ends_is_waited_for_by_the_others_and_kept(toybox):
    """As at every restart: a call is on its way beyond its client's deadline, and its process ends."""
    over = threading.Event()
    paid, local = Toy("rekognition", lambda _: over.wait(20)), Toy("local")
    ending, other = [toybox.dispatcher(paid, local, store=MemoryStore()) for _ in range(2)]
    assert ask(ending, saved(), deadline_ms=1_000, strategy="best").provider == "local"
    threading.Timer(2.0, over.set).start()  # twice a lease
    [_, outcome] = together(2, lambda nth: ask(other, saved(), deadline_ms=20_000, strategy="best") if nth else ending.close())
    assert (outcome.provider, outcome.cost, paid.asked) == ("rekognition", FREE, 1)
    assert ending.sharing.results.store.get(ending.sharing.results.place(outcome.options, bill_of("tester")).bytes_key(saved().digest))


def test_a_late_call_that_fails_lets_the_next_request_ask(cached):
    over = threading.Event()

    def late_failure(nth):
        if nth == 1:
            over.wait(20)
            raise ProviderFailed("500")

    paid, local = Toy("rekognition", late_failure), Toy("local")
    dispatcher = cached(paid, local)
    assert ask(dispatcher, saved(), deadline_ms=1_000, strategy="best").provider == "local"
    over.set()
    outcome = ask(dispatcher, saved(), deadline_ms=20_000, strategy="best")
    assert (outcome.provider, outcome.cache, paid.asked) == ("rekognition", "miss", 2)
