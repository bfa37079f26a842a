"""What every provider keeps, whoever it is: found by folder, each against its stand-in where it has one."""

import contextlib
import importlib
import importlib.util
import json
import threading
from collections.abc import Iterator

import pytest

from providers import registry
from providers.contract import FEATURES, Answer, Provider
from providers.errors import ProviderError
from providers.images import Image
from tests.clouds.pictures import Thing
from tests.providers.conftest import picture


@pytest.fixture(scope="module", params=registry.names())
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    """Each provider; over a real socket to `tests/clouds/NAME.py`, if there is one."""
    name = request.param
    if importlib.util.find_spec(f"tests.clouds.{name}") is None:
        made = registry.build(name, {})
        made.warm()
        yield made
        made.close()
        return
    stand_in = importlib.import_module(f"tests.clouds.{name}").StandIn(pictures=_OneScene())
    made = registry.build(name, stand_in.environ)
    made.warm()
    yield made
    made.close()
    stand_in.close()


class _OneScene:
    """The stand-ins see this on every picture."""

    names = ("person", "dog", "skis")

    def things_on(self, content: bytes) -> list[Thing]:
        return [Thing("person", (0.1, 0.1, 0.3, 0.9)), Thing("person", (0.5, 0.1, 0.7, 0.9)), Thing("dog", (0.7, 0.6, 1.1, 0.9))]


def _answers(provider: Provider, image: Image) -> list[Answer]:
    return [provider.detect(image, call, 30.0) for call in provider.calls(provider.features)]


def test_it_has_the_name_of_its_module_and_known_features(provider):
    assert provider.name in registry.names()
    assert isinstance(provider, Provider)
    assert provider.features
    assert provider.features <= set(FEATURES)
    assert provider.model
    assert provider.health().ready or provider.health().detail


def test_its_calls_answer_each_feature_once_and_say_what_they_bill(provider):
    calls = provider.calls(provider.features)
    answered = [feature for call in calls for feature in call.features]
    assert sorted(answered) == sorted(provider.features)
    assert all(call.usage and all(usage.sku and usage.units >= 1 for usage in call.usage) for call in calls)
    for feature in provider.features:
        (call,) = provider.calls(frozenset({feature}))
        assert call.features == {feature}


def test_it_takes_an_ordinary_picture(provider):
    assert provider.refusal(picture(), provider.features) is None


@pytest.mark.parametrize("image", [picture(), picture(image_format="PNG"), picture(image_format="WEBP"), picture(240, 320)])
def test_its_detections_speak_the_common_language(provider, image):
    for answer in _answers(provider, image):
        assert answer.model
        for detection in answer.detections:
            assert detection.feature in provider.features
            assert detection.provider == provider.name
            assert detection.label == detection.label.lower()
            assert detection.provider_label
            assert 0.0 <= detection.confidence <= 1.0
            assert (detection.box is None) == (detection.feature in {"labels", "moderation"})
            if detection.box is not None:
                assert 0.0 <= detection.box.x_min <= detection.box.x_max <= 1.0
                assert 0.0 <= detection.box.y_min <= detection.box.y_max <= 1.0
            json.dumps(detection.attributes, allow_nan=False)


def test_an_answer_has_nothing_but_the_features_of_its_call(provider):
    for feature in provider.features:
        (call,) = provider.calls(frozenset({feature}))
        assert {detection.feature for detection in provider.detect(picture(), call, 30.0).detections} <= {feature}


def test_a_damaged_picture_is_a_provider_error_and_nothing_else(provider):
    whole = picture(image_format="WEBP")
    cut = Image(whole.content[:200], "webp", whole.width, whole.height, 1, "RGB")
    (call,) = provider.calls(frozenset({"objects"}))
    with pytest.raises(ProviderError) as caught:
        provider.detect(cut, call, 30.0)
    assert not caught.value.maybe_billed


def test_hardly_any_time_raises_a_provider_error_if_anything(provider):
    (call,) = provider.calls(frozenset({"objects"}))
    with contextlib.suppress(ProviderError):
        provider.detect(picture(1600, 1200, image_format="PNG"), call, 0.0001)


def test_threads_share_it(provider):
    (call,) = provider.calls(frozenset({"objects"}))
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(provider.detect(picture(), call, 30.0))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len({answer.detections for answer in answers}) == 1
