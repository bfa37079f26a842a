import io
from decimal import Decimal
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from local_model import builtin, models
from providers import errors, local
from providers.contract import BadEnvironment, Call, Health, Provider, Usage
from providers.images import ImageLimits, read_image
from providers.open_inference import OpenInference, Prediction
from tests.waiting import until

GIRAFFES = Path(__file__).parents[1] / "photos" / "000000000072.jpg"
CALL = Call(frozenset({"objects"}), (Usage("picture", 1),))


@pytest.fixture(scope="module")
def in_process():
    provider = local.build({})
    provider.warm()
    assert not provider.health().ready, "it still loads"
    until(lambda: provider.health().ready)
    yield provider
    provider.close()


@pytest.fixture
def giraffes():
    return read_image(GIRAFFES.read_bytes(), ImageLimits())


def test_it_keeps_the_contract(in_process):
    assert isinstance(in_process, Provider)
    assert in_process.name == "local"
    assert in_process.calls(in_process.features) == (CALL,)
    assert in_process.model == builtin.MODEL
    assert in_process.health().ready


def test_the_photograph_of_two_giraffes_is_answered_in_the_gateways_words(in_process, giraffes):
    assert in_process.refusal(giraffes, in_process.features) is None
    answer = in_process.detect(giraffes, CALL, 30)
    assert answer.model == builtin.MODEL
    first, second, *weak = answer.detections
    assert first.label == second.label == first.provider_label == "giraffe"
    assert (first.feature, first.provider) == ("objects", "local")
    assert first.confidence > second.confidence > 0.6
    assert all(0.05 < detection.confidence < 0.5 for detection in weak)
    assert all(0 <= d.box.x_min < d.box.x_max <= 1 and 0 <= d.box.y_min < d.box.y_max <= 1 for d in answer.detections)


def test_a_picture_that_turns_out_damaged_is_refused_and_nothing_else(in_process):
    png = io.BytesIO()
    PIL.Image.open(GIRAFFES).save(png, "PNG")
    image = read_image(png.getvalue()[:20_000], ImageLimits())
    with pytest.raises(errors.ImageRefused):
        in_process.detect(image, CALL, 30)


def test_no_time_is_a_provider_error(in_process, giraffes):
    in_process.detect(giraffes, CALL, 30)
    with pytest.raises(errors.ProviderTimeout):
        in_process.detect(giraffes, CALL, 0)


def test_a_model_that_still_loads_is_overloaded_and_answers_later(giraffes):
    provider = local.build({})
    with pytest.raises(errors.ProviderOverloaded, match="loading"):
        provider.detect(giraffes, CALL, 0)
    assert provider.detect(giraffes, CALL, 30).detections
    provider.close()


def test_weights_that_can_not_be_loaded_need_an_operator_but_no_restart(giraffes, monkeypatch, tmp_path):
    monkeypatch.setattr(models, "_AGAIN_AFTER_S", 0.05)
    there = builtin.WEIGHTS
    monkeypatch.setattr(builtin, "WEIGHTS", tmp_path / "gone.safetensors")
    provider = local.build({})
    with pytest.raises(errors.ProviderMisconfigured, match=r"gone\.safetensors"):
        provider.detect(giraffes, CALL, 30)
    assert not provider.health().ready
    assert "gone.safetensors" in provider.health().detail
    monkeypatch.setattr(builtin, "WEIGHTS", there)
    until(lambda: provider.health().ready)
    assert provider.detect(giraffes, CALL, 30).detections
    provider.close()


class Fixed:
    """A model that answers, or raises, what it was told."""

    model = "fixed 1"

    def __init__(self, tells):
        self.tells = tells

    def predict(self, pixels, deadline):
        if isinstance(self.tells, Exception):
            raise self.tells
        return self.tells

    def health(self):
        return Health(ready=True)


def test_boxes_outside_the_picture_are_clamped(giraffes):
    seen = Prediction(np.array([[-0.5, 0.25, 1.5, 0.75]], np.float32), np.array([0.5], np.float32), ("dog",), "m 1")
    [detection] = local.Local(Fixed(seen)).detect(giraffes, CALL, 1).detections
    assert (detection.box.x_min, detection.box.y_min, detection.box.x_max, detection.box.y_max) == (0, 0.25, 1, 0.75)


def test_whatever_a_model_raises_leaves_as_a_provider_error(giraffes):
    with pytest.raises(errors.ProviderFailed, match="out of luck"):
        local.Local(Fixed(RuntimeError("out of luck"))).detect(giraffes, CALL, 1)
    with pytest.raises(errors.ProviderThrottled):
        local.Local(Fixed(errors.ProviderThrottled("slow down"))).detect(giraffes, CALL, 1)


def test_the_environment_chooses_where_the_model_is_and_what_it_costs():
    provider = local.build({"GATEWAY_LOCAL_MODEL_URL": "unix:var/model.sock", "GATEWAY_LOCAL_MODEL_USD_PER_HOUR": "0.526"})
    assert isinstance(provider._model, OpenInference)
    assert provider.usd_per_hour == Decimal("0.526")
    provider.close()
    assert local.build({}).usd_per_hour == 0


@pytest.mark.parametrize("amount", ["-1", "nan", "inf", "a dollar", "", "1,5"])
def test_an_amount_that_is_none_is_told(amount):
    with pytest.raises(BadEnvironment, match="GATEWAY_LOCAL_MODEL_USD_PER_HOUR"):
        local.build({"GATEWAY_LOCAL_MODEL_USD_PER_HOUR": amount})


def test_all_problems_are_told_at_once():
    with pytest.raises(BadEnvironment) as raised:
        local.build({"GATEWAY_LOCAL_MODEL_URL": "carrier pigeon", "GATEWAY_LOCAL_MODEL_USD_PER_HOUR": "much"})
    assert len(raised.value.problems) == 2
