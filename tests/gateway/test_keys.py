import pytest
import sqlalchemy as sa

from gateway.keys import KeyNameTaken, Keys, ensure_admin_key
from gateway.schema import keys as key_table


@pytest.fixture
def keys(database, clock):
    return Keys(database, monotonic=clock.monotonic)


def test_a_token_finds_its_key(keys):
    key, token = keys.create("shop", "app", {"cost_centre": "4711"})
    found = keys.find(token)
    assert (found.name, found.role, found.tags) == ("shop", "app", {"cost_centre": "4711"})
    assert token.startswith(f"vg_{key.id}_")


@pytest.mark.parametrize(
    "spoil", [str.upper, lambda t: t + " ", lambda t: t[:-1], lambda t: "x" + t, lambda t: "", lambda t: "vg_", lambda t: "vg__"]
)
def test_a_token_that_is_not_exactly_it_finds_nothing(keys, spoil):
    _, token = keys.create("shop", "app")
    assert keys.find(spoil(token)) is None


def test_the_database_never_holds_a_token(keys, database):
    _, token = keys.create("shop", "app")
    with database.connect() as connection:
        stored = str(connection.execute(key_table.select()).all())
    assert token not in stored
    assert token.rpartition("_")[2] not in stored


def test_a_revoked_key_is_useless_here_at_once_and_elsewhere_after_five_seconds(keys, database, clock):
    elsewhere = Keys(database, monotonic=clock.monotonic)
    _, token = keys.create("shop", "app")
    assert keys.find(token)
    assert elsewhere.find(token)
    assert keys.revoke("shop")
    assert keys.find(token) is None
    clock.advance(5.1)
    assert elsewhere.find(token) is None
    assert not keys.revoke("shop")


def test_a_name_in_use_is_refused_and_free_again_after_it_was_revoked(keys):
    keys.create("shop", "app")
    with pytest.raises(KeyNameTaken, match="shop"):
        keys.create("shop", "finance")
    keys.revoke("shop")
    keys.create("shop", "app")
    assert [key.name for key in keys.all()] == ["shop"]


def test_the_bootstrap_key_is_an_admin_and_is_not_stored(database):
    keys = Keys(database, "operators-own-key")
    assert keys.find("operators-own-key").role == "admin"
    assert keys.find("operators-own-keY") is None
    assert keys.all() == []


def test_an_admin_key_is_made_at_the_first_start_only(keys):
    token = ensure_admin_key(keys, None)
    assert keys.find(token).role == "admin"
    assert ensure_admin_key(keys, None) is None


def test_no_admin_key_is_made_where_the_operator_brought_one(keys):
    assert ensure_admin_key(keys, "operators-own-key") is None
    assert keys.all() == []


def test_who_was_let_in_a_moment_ago_stays_in_while_the_database_is_away(keys, database, clock):
    _, token = keys.create("shop", "app")
    keys.find(token)
    clock.advance(60)
    _take_away(database)
    assert keys.find(token).name == "shop"
    with pytest.raises(sa.exc.SQLAlchemyError):
        keys.find("vg_unknown_x")


def test_who_was_revoked_elsewhere_does_not_come_back_when_the_database_goes_away(keys, database, clock):
    _, token = keys.create("shop", "app")
    keys.find(token)
    Keys(database).revoke("shop")
    clock.advance(60)
    assert keys.find(token) is None
    _take_away(database)
    with pytest.raises(sa.exc.SQLAlchemyError):
        keys.find(token)


def _take_away(database):
    with database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE api_key RENAME TO away"))
