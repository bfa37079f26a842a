import time

from gateway.cache.store import Entry, MemoryStore
from tests.conftest import FakeClock


def test_what_is_kept_is_found_until_it_is_dropped(store):
    store.put([Entry("a", b"1", 60), Entry("b", b"\x00\xff", 60)])
    assert store.get("a") == b"1"
    assert store.get_many(["a", "nobody's", "b"]) == [b"1", None, b"\x00\xff"]
    store.put([Entry("a", b"2", 60)])
    assert store.get("a") == b"2"
    store.drop("a")
    store.drop("nobody's")
    assert store.get("a") is None
    assert store.problem() is None


def test_what_is_over_is_missing(store):
    store.put([Entry("soon", b"1", 1), Entry("later", b"1", 60)])
    time.sleep(1.1)
    assert store.get_many(["soon", "later"]) == [None, b"1"]


def test_memory_is_bounded_and_the_least_recently_used_go_first():
    store = MemoryStore(bytes_max=3_000)
    for name in "abc":
        store.put([Entry(name, bytes(700), 60)])
    store.get("a")
    store.put([Entry("d", bytes(700), 60)])
    assert [name for name in "abcd" if store.get(name)] == ["a", "c", "d"]
    for nth in range(1_000):
        store.put([Entry(str(nth), bytes(100), 60)])
    assert store._bytes <= 3_000
    assert len(store._kept) == 10


def test_a_value_larger_than_the_store_is_not_kept_and_breaks_nothing():
    store = MemoryStore(bytes_max=1_000)
    store.put([Entry("a", bytes(2_000), 60)])
    assert (store.get("a"), store._bytes) == (None, 0)


def test_memory_goes_by_its_own_clock():
    clock = FakeClock()
    store = MemoryStore(monotonic=clock.monotonic)
    store.put([Entry("a", b"1", 10)])
    clock.advance(seconds=9.9)
    assert store.get("a") == b"1"
    clock.advance(seconds=0.2)
    assert store.get("a") is None
