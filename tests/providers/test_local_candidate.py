from decimal import Decimal

import numpy as np
import pytest

from providers import local_candidate
from providers.contract import BadEnvironment, Call, Provider, Usage
from providers.images import ImageLimits, read_image
from providers.open_inference import Prediction
from tests.gateway.toys import jpeg

CALL = Call(frozenset({"objects"}), (Usage("picture", 1),))
URL = "unix:var/model.sock/v2/models/nanodet-g-416/versions/0123abcd"


def test_it_answers_under_its_own_name(monkeypatch):
    candidate = local_candidate.build({local_candidate.URL: URL, "GATEWAY_LOCAL_MODEL_USD_PER_HOUR": "0.526"})
    assert isinstance(candidate, Provider)
    assert (candidate.name, candidate.usd_per_hour) == ("local_candidate", Decimal("0.526"))
    seen = Prediction(np.array([[0, 0, 1, 1]], np.float32), np.array([0.9], np.float32), ("dog",), "nanodet-g-416 0123abcd", 700)
    monkeypatch.setattr(candidate._model, "predict", lambda pixels, deadline: seen)
    answer = candidate.detect(read_image(jpeg(), ImageLimits()), CALL, 1)
    assert (answer.detections[0].provider, answer.model, answer.machine_us) == ("local_candidate", "nanodet-g-416 0123abcd", 700)
    candidate.close()


def test_a_wrong_address_is_told_by_its_own_settings_name():
    with pytest.raises(BadEnvironment, match=r"GATEWAY_LOCAL_CANDIDATE_MODEL_URL: 'model\.sock' is none of unix:PATH"):
        local_candidate.build({local_candidate.URL: "model.sock"})
