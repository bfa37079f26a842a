import json
import random

import pytest

from cost.money import Money
from gateway.cache.values import VALUE_BYTES_MAX, NotKept, keep, pack, unpack, written
from gateway.outcome import AnsweredCall, Outcome
from gateway.wire.answer import DetectionsOut, write_outcome
from gateway.wire.options import Options
from providers.contract import BoundingBox, Detection, Usage
from tests.gateway.toys import picture


def found(count=3, feature="objects", **more):
    boxes = [BoundingBox(0.1 * n / count, 0.123456789, 0.9, 1.0) for n in range(count)]
    return tuple(Detection(feature, f"thing {n}", 0.3 + 0.6 * n / count, boxes[n], "toy", 'Thing "ä" \\ 名', **more) for n in range(count))


def outcome_of(detections, **more):
    calls = (AnsweredCall("toy", frozenset({"objects", "faces"}), "toy 1", (Usage("one", 1), Usage("two", 3)), Money.usd("0.00225")),)
    asked = Options(features=("objects", "faces"))
    return Outcome("first", picture(), asked, detections, "toy", 'the "model" 1', Money.usd("0.00225"), calls=calls, **more)


def kept_of(outcome, features="o"):
    return unpack(pack(keep(outcome, features, 1_700_000_000)))


def test_an_answer_comes_back_as_it_was_kept():
    outcome = outcome_of((*found(5), *found(2, "faces", attributes={"smile": True, "age": [20, 30]}), *found(1, "text", text="ß\n\t")))
    kept = kept_of(outcome)
    assert (kept.provider, kept.model, kept.calls, kept.kept_at) == ("toy", 'the "model" 1', outcome.calls, 1_700_000_000)
    assert (kept.digest, kept.width, kept.height, kept.format) == (outcome.image.digest, 64, 48, "jpeg")
    assert [d.confidence for d in kept.detections()] == sorted((d.confidence for d in outcome.detections), reverse=True)
    assert {(d.label, d.text, str(d.attributes)) for d in kept.detections()} == {
        (d.label, d.text, str(d.attributes)) for d in outcome.detections
    }


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"min_confidence": 0},
        {"min_confidence": "0.7", "max_results": 2},
        {"max_results": 1},
        {"features": ("faces",)},
        {"features": ("objects", "faces"), "strategy": "best"},
        {"min_confidence": 1},
    ],
    ids=str,
)
def test_what_is_written_from_it_is_what_the_whole_answer_would_have_been(options):
    asked = Options(**options)
    outcome = outcome_of((*found(7), *found(2, "faces")))
    kept = kept_of(outcome, "fo")
    letters = "".join(sorted(feature[0] for feature in asked.features))
    detections, count = kept.selected(asked, letters)
    body = written(kept, asked, detections, answer_id="second", request_id='my "id" \\', use="hit", simulated=False, latency_ms=1.25)
    answer = json.loads(body)
    DetectionsOut.model_validate(answer)
    outcome = Outcome(
        "second", outcome.image, asked, outcome.detections, "toy", outcome.model, cache="hit", latency_ms=answer["latency_ms"]
    )
    assert answer == json.loads(write_outcome(outcome, 'my "id" \\').model_dump_json(exclude_none=True))
    assert list(answer) == list(json.loads(write_outcome(outcome, "x").model_dump_json(exclude_none=True)))
    assert count == len(answer["detections"])


def test_every_damaged_value_is_refused():
    value = pack(keep(outcome_of(found(4)), "o", 1))
    chance = random.Random(7)
    damaged = [b"", b"junk", value[:-1], value + b"x", b"vgk0" + value[4:], json.dumps({"detections": []}).encode()]
    damaged += [value[:at] for at in range(0, len(value), 7)]
    for _ in range(300):
        at = chance.randrange(len(value))
        damaged.append(value[:at] + bytes([value[at] ^ 1 << chance.randrange(8)]) + value[at + 1 :])
    for bad in damaged:
        with pytest.raises(NotKept):
            unpack(bad)


def test_a_value_has_a_bounded_size():
    with pytest.raises(NotKept, match="bytes are more"):
        pack(keep(outcome_of(found(1, text=random.Random(1).randbytes(VALUE_BYTES_MAX).hex())), "o", 1))
    assert len(pack(keep(outcome_of(found(100)), "o", 1))) < 30_000


def test_a_name_that_would_part_a_field_is_not_kept():
    with pytest.raises(NotKept, match="tab"):
        pack(keep(Outcome("a", picture(), Options(), found(), "toy", "a\tmodel"), "o", 1))


def test_the_price_of_the_calls_for_the_asked_features_is_what_a_hit_avoids():
    kept = kept_of(outcome_of(found()))
    assert str(kept.avoided(Options(features=("faces",)))) == "0.00225"
    assert str(kept.avoided(Options(features=("text",)))) == "0"
