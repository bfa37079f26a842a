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


def test_where_all_labels_that_can_be_seen_are_wrong_the_truth_is_one_that_nobody_said():
    assert from_csv("label_a,correct_a,correct_b\ncat,0,1\n").truth == [frozenset({NOBODYS})]
    assert from_csv("correct_a,correct_b\n0,0\n").truth == [None], "where none can be seen, no label is known to be wrong"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no rows"),
        ("label_a\n", "no rows"),
        ("image_id,true_label\n1,cat\n", "no provider columns among image_id, true_label"),
        ("true_label,label_a\ncat,cat\ncat\n", "row 2 has 1 cells, and the header 2"),
        ("true_label,label_a\ncat,cat,dog\n", "row 1 has 3 cells, and the header 2"),
        (f"true_label,label_a\ncat,{'x' * 200_000}\n", "field larger than"),
    ],
)
def test_what_is_no_table_of_providers_is_refused_with_what_is_wrong(text, told):
    with pytest.raises(BadRecords, match=told):
        from_csv(text)


def test_empty_lines_are_no_records():
    assert len(from_csv(SINGLE.replace("\n", "\r\n\r\n") + "\r\n")) == 2


def test_what_is_correct_may_be_written_in_words_and_else_the_truth_says_it():
    records = from_csv("true_label,label_a,correct_a\ncat,cat,True\ncat,dog,FALSE\ncat,cat,\n")
    assert records.rewards["a"].tolist() == [1.0, 0.0, 1.0]


def test_one_label_with_a_reward_is_still_one_label():
    records = from_csv("true_label,label_a,reward_a\ncat,lynx,0.5\n")
    assert (records.kind, records.rewards["a"].tolist()) == ("label", [0.5])
    assert from_csv("reward_a,reward_b\n0.5,1\n").kind == "tags"


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


@pytest.mark.parametrize("text", ["{", "[]", '{"answers": 3}', "{}", '{"answers": {}}', '{"answers":' * 5_000])
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


def test_a_line_ends_where_the_file_says_so_and_not_within_a_label(tmp_path: Path):
    odd = 'a\u2028b\x85c, "d" ☃'
    (tmp_path / "R.jsonl").write_text("\ufeff" + json.dumps({"answers": {"p": {"labels": [{"label": odd}]}}}, ensure_ascii=False) + "\r\n")
    assert read_records(tmp_path / "R.jsonl").answers["p"] == [(Seen(odd),)]


def test_a_damaged_archive_is_no_record(tmp_path: Path):
    whole = gzip.compress(SINGLE.encode() * 50)
    for name, raw in [("cut", whole[:-20]), ("turned", whole[:15] + bytes(20) + whole[35:])]:
        (tmp_path / f"{name}.csv.gz").write_bytes(raw)
        with pytest.raises(BadRecords, match=name):
            read_records(tmp_path / f"{name}.csv.gz")


@pytest.mark.parametrize(
    "told",
    ["{", "[1]", b"\xff", '{"R": null}', '{"R": {"apis": [1]}}']
    + [f'{{"R": {{"apis": {{"a": {{"usd_per_call": {usd}}}}}}}}}' for usd in ("-1", "NaN", "Infinity", "1e30", "true", '"abc"', "null")],
)
def test_what_is_no_price_is_refused_by_the_files_name(tmp_path: Path, told):
    (tmp_path / "prices.json").write_bytes(told if isinstance(told, bytes) else told.encode())
    with pytest.raises(BadRecords, match=r"^prices\.json"):
        read_prices(tmp_path / "prices.json", "R")


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
