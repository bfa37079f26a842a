import pytest

from gateway.settings import BadSettings, Settings


def test_an_empty_environment_gives_the_defaults_of_the_contract():
    settings = Settings.from_env({})
    assert (settings.port, settings.bind, settings.providers) == (8000, "127.0.0.1", ("local",))
    assert settings.database_url == "sqlite:///var/gateway.db"
    assert (settings.cache_ttl_s, settings.default_deadline_ms, settings.default_max_cost_usd) == (86400, 10_000, None)


def test_values_are_read_with_their_types():
    settings = Settings.from_env(
        {"PORT": "9001", "GATEWAY_DEFAULT_MAX_COST_USD": "0.00225", "GATEWAY_IMAGE_FORMATS": "JPEG, gif", "GATEWAY_SIMULATED": "yes"}
    )
    assert settings.port == 9001
    assert str(settings.default_max_cost_usd) == "0.00225"
    assert settings.image_limits.formats == {"jpeg", "gif"}
    assert settings.simulated


def test_every_problem_is_told_at_once():
    with pytest.raises(BadSettings) as told:
        Settings.from_env(
            {
                "GATEWAY_BUGDET_USD_DAILY": "5",
                "GATEWAY_CACHE_TTL_S": "1d",
                "PORT": "70000",
                "GATEWAY_PROVIDERS": "local,nobody",
                "HOME": "/",
            }
        )
    problems = "\n".join(told.value.problems)
    assert "GATEWAY_BUGDET_USD_DAILY: no such setting" in problems
    assert "GATEWAY_CACHE_TTL_S: '1d' is no whole number" in problems
    assert "PORT: 70000 is not between 0 and 65535" in problems
    assert "GATEWAY_PROVIDERS: there is no provider 'nobody'" in problems
    assert len(told.value.problems) == 4


@pytest.mark.parametrize("providers", ["local,local", ",", " , "])
def test_providers_are_named_once_and_at_least_one(providers):
    with pytest.raises(BadSettings, match="GATEWAY_PROVIDERS"):
        Settings.from_env({"GATEWAY_PROVIDERS": providers})


def test_a_name_with_a_providers_prefix_is_left_to_that_provider():
    Settings.from_env({"GATEWAY_LOCAL_MODEL_URL": "unix:somewhere"})


def test_secrets_are_not_shown():
    shown = repr(Settings.from_env({"GATEWAY_ADMIN_KEY": "vg_secret", "GATEWAY_DATABASE_URL": "postgresql+psycopg://u:pw@db/x"}))
    assert "vg_secret" not in shown
    assert "pw" not in shown
