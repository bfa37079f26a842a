import pytest
from pydantic import ValidationError

from gateway.api.costs import CostsQuery
from gateway.api.experiment_schemas import ExperimentIn
from gateway.api.keys import KeyIn
from gateway.wire.mistakes import first_mistake

KEY = {"name": "shop", "role": "app"}
ARMS = [{"name": "a"}, {"name": "b"}]
EXPERIMENT = {"name": "which", "mode": "split", "arms": ARMS}
OF_COSTS = "from, to, provider, sku, feature, client, tag, group_by, format"
OF_A_TAG = "a tag's name has 1 to 64 characters, its value 1 to 128; neither has a colon or comma."


@pytest.mark.parametrize(
    ("schema", "given", "parameter", "said"),
    [
        (KeyIn, {}, "name", "name: it is missing."),
        (KeyIn, KEY | {"name": "a/b"}, "name", "name: 1 to 64 of letters, digits, '.', '_', '-' and spaces, the first a letter or digit."),
        (KeyIn, KEY | {"name": 7}, "name", "name: write a text."),
        (KeyIn, KEY | {"role": "root"}, "role", "role: write one of 'app', 'finance', 'admin'."),
        (KeyIn, KEY | {"tags": {"a:b": "c"}}, "tags.a:b", f"tags.a:b: {OF_A_TAG}"),
        (KeyIn, KEY | {"tags": {"team": ""}}, "tags.team", f"tags.team: {OF_A_TAG}"),
        (KeyIn, KEY | {"rate_limit": {"requests_per_s": 0}}, "rate_limit.requests_per_s", "write a number of at least 1."),
        (
            ExperimentIn,
            EXPERIMENT | {"name": "a b"},
            "name",
            "write 1 to 50 letters, digits, '.', '_' or '-', the first a letter or digit.",
        ),
        (ExperimentIn, EXPERIMENT | {"arms": ARMS[:1]}, "arms", "arms: at least 2 are needed."),
        (ExperimentIn, EXPERIMENT | {"sample_rate": 0}, "sample_rate", "sample_rate: write a number above 0.0."),
        (ExperimentIn, EXPERIMENT | {"stop": {"difference": 1}}, "stop.difference", "write a number below 1.0."),
        (ExperimentIn, EXPERIMENT | {"iou_min": "much"}, "iou_min", "iou_min: write a number."),
        (CostsQuery, {"since": "x"}, "since", f"There is no parameter 'since'. There are: {OF_COSTS}."),
        (CostsQuery, {"from": "today"}, "from", "from: write a day such as 2026-11-30."),
        (CostsQuery, {"client": "a\x00"}, "client", "client: write it without the character zero."),
    ],
)
def test_a_mistake_is_told_with_its_name_and_what_to_write(schema, given, parameter, said):
    with pytest.raises(ValidationError) as raised:
        schema.model_validate(given)
    problem = first_mistake(raised.value, schema)
    assert problem.members == {"parameter": parameter}
    assert problem.detail.endswith(said)
    assert "should" not in problem.detail, "pydantic's words are for programmers"
