import gzip
import json
import math
from pathlib import Path

import pytest

from cost.money import Money
from cost.record_files import from_csv, read_prices, read_records, stem_of
from cost.record_lines import from_json_lines
from cost.records import NOBODYS, BadRecords, Seen

SINGLE = "image_id,true_label,label_a,conf_a,correct_a,label_b\n1.jpg,cat,cat,0.9,1,dog\n2.jpg,dog,cat,,0,dog\n"
TAGS = "image_id,true_labels,reward_a,labels_a,reward_b\n1.jpg,cat|dog,0.5,cat:0.9,1\n2.jpg,cow,0,,0.25\n"


def test_a_single_label_csv_is_read_with_whatever_columns_it_has():
    records = from_csv(SINGLE)
    assert (records.kind, records.providers, len(records)) == ("label", ("a", "b"), 2)
    assert records.answers["a"] == [(Seen("cat", 0.9),), (Seen("cat", None),)]
    assert records.answers["b"][0] == (Seen("dog", None),)
    assert records.rewards["b"].tolist() == [0.0, 1.0], "without correct_b the truth says it"
    assert records.truth == [frozenset({"cat"}), frozenset({"dog"})]


def test_a_provider_of_which_only_the_reward_is_published_is_opaque():
    records = from_csv(TAGS)
    assert records.kind == "tags"
    assert records.opaque("b")
    assert not records.opaque("a")
    assert records.answers["a"] == [(Seen("cat", 0.9),), ()]
    assert records.rewards["b"].tolist() == [1.0, 0.25]


def test_without_a_truth_column_a_correct_provider_tells_the_truth_and_else_it_is_nobodys():
    records = from_csv("label_a,correct_a,label_b,correct_b\ncat,1,dog,0\ncat,0,dog,0\n")
    assert records.truth == [frozenset({"cat"}), frozenset({NOBODYS})]


@pytest.mark.parametrize("text", ["", "image_id,true_label\n1,cat\n", "label_a\n"])
def test_a_csv_without_rows_or_providers_is_refused(text):
    with pytest.raises(BadRecords):
        from_csv(text)


def line(**more):
    labels = [{"label": "dog", "confidence": 0.9, "count": 2, "size": 0.25}]
    return json.dumps({"digest": "d", "answers": {"local": {"labels": labels, "price_usd": "0.0000007"}, "cloud": {"labels": []}}} | more)


def test_a_comparison_with_a_truth_is_scored_by_it():
    records = from_json_lines([line(truth=["dog"]), line(truth=["dog", "cat"])])
    assert records.target == "truth"
    assert records.answers["local"][0] == (Seen("dog", 0.9, 2, 0.25),)
    assert records.rewards["local"].tolist() == [1.0, 0.5]
    assert records.rewards["cloud"].tolist() == [0.0, 0.0]
    assert records.prices == {"local": Money.usd("0.0000007")}


def test_a_persons_verdict_counts_where_nobody_wrote_the_truth():
    answers = {"local": {"labels": [], "verdict": "wrong"}, "cloud": {"labels": [], "verdict": "correct"}}
    records = from_json_lines([json.dumps({"digest": "d", "answers": answers})])
    assert records.target == "truth"
    assert (records.rewards["local"][0], records.rewards["cloud"][0]) == (0.0, 1.0)


def test_agreement_with_a_reference_is_never_called_the_truth():
    records = from_json_lines([line(reference="cloud")])
    assert records.target == "agreement"
    assert records.truth == [frozenset()]


def test_a_provider_that_was_not_asked_has_neither_answer_nor_reward():
    records = from_json_lines([line(truth=["dog"]), json.dumps({"answers": {"local": {"labels": []}}, "truth": ["dog"]})])
    assert records.answers["cloud"] == [(), None]
    assert math.isnan(records.rewards["cloud"][1])


@pytest.mark.parametrize("text", ["{", "[]", '{"answers": 3}', "{}", '{"answers": {}}'])
def test_a_line_that_is_no_comparison_is_refused(text):
    with pytest.raises(BadRecords):
        from_json_lines([text])


def test_files_are_told_by_their_names(tmp_path: Path):
    (tmp_path / "R.csv.gz").write_bytes(gzip.compress(SINGLE.encode()))
    (tmp_path / "R.jsonl").write_text(line(truth=["dog"]))
    (tmp_path / "bad.csv.gz").write_bytes(b"not gzip")
    assert read_records(tmp_path / "R.csv.gz").kind == "label"
    assert read_records(tmp_path / "R.jsonl").kind == "tags"
    assert stem_of(tmp_path / "R.csv.gz") == stem_of(tmp_path / "R.jsonl") == "R"
    with pytest.raises(BadRecords, match=r"bad\.csv\.gz"):
        read_records(tmp_path / "bad.csv.gz")


def test_prices_never_pass_through_a_float(tmp_path: Path):
    path = tmp_path / "prices.json"
    path.write_text(
        '{"R": {"apis": {"a": {"usd_per_call": 1e-07}, "b": {"usd_per_call": 0.0015}, "c": {"usd_per_call": 1.234e-7}}}, "S": {}}'
    )
    assert read_prices(path, "R") == {"a": Money(100), "b": Money(1_500_000), "c": Money(123)}
    with pytest.raises(BadRecords, match=r"'T'.*R, S"):
        read_prices(path, "T")
    with pytest.raises(BadRecords, match=r"S"):
        read_prices(path, "S")


def test_the_gateways_own_records_are_read_box_by_box():
    boxes = [{"label": "dog", "confidence": 0.4, "box": [0, 0, 0.5, 0.5]}, {"label": "dog", "confidence": 0.9, "box": [0, 0, 0.1, 0.1]}]
    row = {"answers": {"local": {"found": boxes}, "cloud": {"found": None, "error": "timeout"}}, "truth": [{"label": "dog"}]}
    records = from_json_lines([json.dumps(row)])
    assert records.answers == {"local": [(Seen("dog", 0.9, 2, 0.25),)], "cloud": [None]}
    assert records.truth == [frozenset({"dog"})]
    assert records.rewards["local"].tolist() == [1.0]
    assert math.isnan(records.rewards["cloud"].item())
