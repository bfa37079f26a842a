"""Everything that can be wrong with a real Valkey, behind a real gateway: nobody's request fails, and money stays exact."""

import signal

import pytest

from gateway.cache.link import RedisStore
from tests.clouds import rekognition
from tests.clouds.proxy import Proxy
from tests.gateway.cache.servers import Caller, Server
from tests.gateway.toys import jpeg
from tests.processes import running


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("valkey"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def proxy(valkey):
    with Proxy(valkey.port, "") as proxy:
        yield proxy


@pytest.fixture(scope="module")
def amazon():
    stand_in = rekognition.StandIn()
    yield stand_in
    stand_in.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, proxy, amazon):
    environ = amazon.environ | {"GATEWAY_PROVIDERS": "rekognition", "GATEWAY_REDIS_URL": f"redis://127.0.0.1:{proxy.port}"}
    with running(tmp_path_factory.mktemp("gateway"), "serve", **environ) as server:
        yield Caller(server.wait_until_ready())


def is_away(readiness):
    return not readiness["dependencies"]["cache"]["ready"]


def is_back(readiness):
    return readiness["dependencies"]["cache"]["ready"]


def let_in_nobody(valkey):
    valkey.admin().config_set("requirepass", "another")
    valkey.admin(password="another").client_kill_filter(_type="normal", skipme=True)


FAULTS = {
    "killed": (lambda valkey, proxy: valkey.kill(), lambda valkey, proxy: valkey.start()),
    "frozen": (lambda valkey, proxy: valkey.send(signal.SIGSTOP), lambda valkey, proxy: valkey.send(signal.SIGCONT)),
    "full": (
        lambda valkey, proxy: valkey.admin().config_set("maxmemory", "1"),
        lambda valkey, proxy: valkey.admin().config_set("maxmemory", "0"),
    ),
    "read-only": (
        lambda valkey, proxy: valkey.admin().replicaof("127.0.0.1", "1"),
        lambda valkey, proxy: valkey.admin().replicaof("NO", "ONE"),
    ),
    "another password": (
        lambda valkey, proxy: let_in_nobody(valkey),
        lambda valkey, proxy: valkey.admin(password="another").config_set("requirepass", ""),
    ),
    "slow by 200 ms": (lambda valkey, proxy: setattr(proxy, "toxic", "slow"), lambda valkey, proxy: setattr(proxy, "toxic", "")),
}

PICTURES = iter(jpeg(100, 80, shade) for shade in range(1, 255))


@pytest.mark.parametrize("fault", FAULTS)
def test_no_request_fails_the_ledger_is_exact_and_the_cache_comes_back_by_itself(fault, gateway, valkey, proxy, amazon):
    begin, end = FAULTS[fault]
    before = amazon.bill.units().get("DetectLabels", 0)
    known = next(PICTURES)
    paid = [gateway.post(known)]
    begin(valkey, proxy)
    try:
        paid += [gateway.post(next(PICTURES)) for _ in range(6)]
        readiness = gateway.wait_for("/readyz", is_away)
        again = [gateway.post(known) for _ in range(2)]
        new = [gateway.post(next(PICTURES)) for _ in range(2)]
    finally:
        end(valkey, proxy)
    assert readiness["status"] == "degraded", "it answers, and says that something is away"
    assert "gateway_cache_errors_total" in gateway.text("/metrics")
    assert {status for status, _, _ in (*paid, *again, *new)} == {200}
    gateway.wait_for("/readyz", is_back)
    last = next(PICTURES)
    assert [gateway.post(last)[1]["cache"] for _ in range(2)] == ["miss", "hit"]
    told = [answer["cost_usd"] for _, answer, _ in (*paid, *again, *new)]
    billed = amazon.bill.units()["DetectLabels"] - before
    assert told.count("0.001") + 1 == billed, "what clients were told is what was billed"
    assert {answer["cache"] for _, answer, _ in again} == {"hit"}, "the database remembers for a minute what has landed"


def test_a_flush_costs_answers_and_no_error(gateway, valkey, amazon):
    known = next(PICTURES)
    assert gateway.post(known)[1]["cache"] == "miss"
    valkey.admin().flushall()
    status, answer, _ = gateway.post(known)
    assert (status, answer["cache"], answer["cost_usd"]) == (200, "hit", "0"), "the database has it still"


def test_values_of_somebody_else_are_misses_and_are_removed(gateway, valkey, amazon):
    admin = valkey.admin()
    junk = {
        "text": lambda key: admin.set(key, "junk"),
        "cut": lambda key: admin.set(key, admin.get(key)[:-1]),
        "another version": lambda key: admin.set(key, b"vgk9" + admin.get(key)[4:]),
        "a list": lambda key: (admin.delete(key), admin.rpush(key, "junk")),
    }
    for spoil in junk.values():
        picture = next(PICTURES)
        admin.flushall()
        gateway.post(picture)
        for key in admin.keys("vg:1:b:*"):
            spoil(key)
        status, answer, _ = gateway.post(picture)
        assert (status, answer["cache"]) == (200, "hit")
        assert gateway.post(picture)[1]["cache"] == "hit"
        assert {admin.type(key) for key in admin.keys("vg:1:b:*")} <= {b"string"}


def test_what_was_spent_and_what_was_avoided_are_told_apart_and_add_up(gateway, amazon):
    billed = amazon.bill.units()["DetectLabels"]
    total = gateway.wait_for("/v1/costs", lambda costs: costs["total"]["billed_units"] == billed and costs["total"]["reserved_usd"] == "0")
    assert float(total["total"]["cost_usd"]) == pytest.approx(billed * 0.001)
    assert float(total["total"]["avoided_usd"]) > 0


def test_it_starts_without_its_redis(tmp_path, amazon):
    environ = amazon.environ | {"GATEWAY_PROVIDERS": "rekognition", "GATEWAY_REDIS_URL": "redis://127.0.0.1:1"}
    with running(tmp_path, "serve", **environ) as server:
        caller = Caller(server)
        give = next(PICTURES)
        server.wait_until_answering()
        assert [caller.post(give)[0] for _ in range(4)] == [200] * 4
        assert "127.0.0.1:1" in caller.wait_for("/readyz", is_away)["dependencies"]["cache"]["detail"]


def test_a_password_is_never_told(valkey, caplog):
    store = RedisStore(f"redis://me:hunter2@127.0.0.1:{valkey.port}/0", 4)
    for _ in range(4):
        store._waited.until = 0
        assert store.get("key") is None
    told = store.problem()
    store.close()
    assert f"redis://127.0.0.1:{valkey.port}/0" in told
    assert "hunter2" not in told + caplog.text + repr(store)
