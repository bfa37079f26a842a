import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from cost.backtest import Replay, backtest, replay
from cost.escalation.fit import fit
from cost.escalation.online import choose_pair, learn_online
from cost.money import Money
from cost.pacing import Pacer
from cost.record_files import from_csv, read_prices, read_records
from cost.records import BadRecords, Records, Seen

BARS = {
    "FERPLUS": {2: 75.8, 3.5: 81.4, 5: 84.6, 7.5: 85.8, 10: 86.5},
    "RAFDB": {2: 67.7, 3.5: 70.2, 5: 73.9, 7.5: 77.2, 10: 79.0},
    "MCT_PASCAL": {10: 78.6},
}
ONLINE_BARS = {"FERPLUS": {2: 75.0, 3.5: 81.3, 5: 83.5}, "RAFDB": {2: 67.4, 3.5: 69.5, 5: 71.4}}
ONLINE_MISSED = {("FERPLUS", 2), ("FERPLUS", 3.5), ("RAFDB", 2)}
ONLINE_SHORT = "to find out who is best takes some 80 pictures shown to all, a tenth of so small a budget; on RAFDB at 2 that is not all"
SEEDS = (1, 5, 10, 50, 100)


def test_the_report_has_the_shape_that_was_promised(tmp_path):
    lines = ["image_id,true_label,label_a,conf_a,correct_a,label_b,conf_b,correct_b"]
    lines += [f"{i},{i % 2},{i % 2 if i % 3 else 1 - i % 2},{0.9 if i % 3 else 0.3},{int(i % 3 > 0)},{i % 2},0.8,1" for i in range(200)]
    (tmp_path / "Toy.csv").write_text("\n".join(lines))
    (tmp_path / "prices.json").write_text('{"Toy": {"apis": {"a": {"usd_per_call": 1e-7}, "b": {"usd_per_call": 0.001}}}}')
    report = backtest(tmp_path / "Toy.csv", tmp_path / "prices.json", Decimal("5"), train=0.5, seed=1)
    assert set(report) == {"records", "test_records", "budget_usd_per_10k", "target", "policy", "baselines"}
    assert set(report["policy"]) == {"accuracy", "known", "spend_usd_per_10k", "overrun_pct", "share"}
    assert set(report["baselines"]) == {"a", "b", "one_threshold", "oracle"}
    assert (report["records"], report["test_records"], report["budget_usd_per_10k"]) == (200, 100, 5.0)
    assert report["policy"]["accuracy"] == 1.0, "a is wrong where it is unsure, and b is affordable there"
    assert report["policy"]["spend_usd_per_10k"] <= 5.0
    json.dumps(report)


def test_a_stem_without_prices_is_refused_with_those_there_are(tmp_path):
    (tmp_path / "Toy.csv").write_text("true_label,label_a\n1,1\n")
    (tmp_path / "prices.json").write_text('{"Other": {"apis": {}}}')
    with pytest.raises(BadRecords, match=r"'Toy'.*Other"):
        backtest(tmp_path / "Toy.csv", tmp_path / "prices.json", Decimal(5))


def test_a_provider_without_a_price_is_refused_by_name(tmp_path):
    (tmp_path / "Toy.csv").write_text("true_label,label_a\n1,1\n")
    (tmp_path / "prices.json").write_text('{"Toy": {"apis": {}}}')
    with pytest.raises(BadRecords, match=r"price for a"):
        backtest(tmp_path / "Toy.csv", tmp_path / "prices.json", Decimal(5))


@pytest.mark.parametrize("train", [0.0, 1.0])
def test_a_split_that_leaves_nothing_is_refused(recordings, prices, train):
    with pytest.raises(BadRecords, match=r"leave none"):
        replay(recordings(20), prices, Decimal(5), train=train)


@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize("budget", ["0", "0.0005", "0.5", "3", "200"])
def test_never_a_nano_is_spent_over_the_budget(recordings, prices, budget, online):
    report = replay(recordings(600), prices, Decimal(budget), seed=3, online=online)
    assert report["policy"]["spend_usd_per_10k"] <= float(budget)
    assert report["policy"]["overrun_pct"] == 0.0


def test_more_money_buys_better_answers_and_never_worse_than_one_threshold(recordings, prices):
    reports = [replay(recordings(900), prices, Decimal(b), seed=1) for b in (1, 3, 8)]
    accuracy = [r["policy"]["accuracy"] for r in reports]
    assert accuracy[0] + 0.05 < accuracy[1] < accuracy[2]
    assert all(a > r["baselines"]["one_threshold"]["accuracy"] - 0.01 for a, r in zip(accuracy, reports, strict=True))


def test_the_dear_provider_is_left_alone_when_it_is_the_weak_one(recordings):
    prices = {"weak": Money.usd("0.002"), "fair": Money.usd("0.001"), "strong": Money(100)}
    report = replay(recordings(1200), prices, Decimal(4), seed=1)
    assert report["policy"]["accuracy"] > report["baselines"]["strong"]["accuracy"] - 0.01
    assert report["policy"]["share"]["weak"] < 0.3


def test_online_sees_nothing_that_it_did_not_pay_for(recordings, prices):
    test = recordings(500)
    blind = Records(test.kind, test.providers, test.answers, test.truth, {p: np.zeros(500) for p in test.providers})
    runs = [Replay(t, prices, Money.usd("0.15")) for t in (test, blind)]
    for run in runs:
        learn_online(run)
    assert all((runs[0].asked[p] == runs[1].asked[p]).all() for p in prices), "rewards must not be looked at"
    assert all(a is None for a, asked in zip(runs[0].seen(range(500)).answers["strong"], runs[0].asked["strong"], strict=True) if not asked)


def tagged(n):
    rng = np.random.default_rng(0)
    lines = ["true_labels,labels_a,labels_b,labels_c,reward_blind"]
    for _ in range(n):
        truth = [t for t in "stu" if rng.random() < 0.5] or ["s"]
        tags = ["|".join(f"{t}:{rng.uniform(0.6, 1):.2f}" for t in truth if rng.random() < skill) for skill in (0.6, 0.7, 0.95)]
        lines.append(",".join(["|".join(truth), *tags, "0.4"]))
    return from_csv("\n".join(lines))


def test_online_learns_about_tags_too_and_falls_back_on_a_provider_it_cannot_see():
    prices = {"a": Money.usd("0.0002"), "b": Money.usd("0.0004"), "c": Money.usd("0.001"), "blind": Money(10)}
    poor, rich = (replay(tagged(500), prices, Decimal(b), online=True) for b in (1, 8))
    assert poor["policy"]["share"]["blind"] > 0.2
    assert poor["policy"]["accuracy"] > 0.35, "not unanswered"
    assert rich["policy"]["accuracy"] > poor["baselines"]["b"]["accuracy"]
    assert rich["policy"]["spend_usd_per_10k"] <= 8.0


def test_where_nobody_can_answer_the_picture_stays_unanswered_and_free(recordings, prices):
    whole = recordings(400)
    policy = fit(whole, {p: m.nanos / 1e9 for p, m in prices.items()})
    gone = whole.take(range(50))
    for p in gone.providers:
        gone.answers[p][7] = None
        gone.rewards[p][7] = np.nan
    run = Replay(gone, prices, Money.usd("1"))
    run.run(policy, Pacer(policy.multiplier_for), 0, 50)
    assert not any(run.asked[p][7] for p in prices)
    assert run.reward[7] == 0.0


def test_recorded_faces_reach_more_than_one_threshold_with_few_records(routing):
    whole = read_records(routing / "FERPLUS.csv.gz")
    report = replay(whole.take(range(2400)), read_prices(routing / "prices.json", "FERPLUS"), Decimal(5), seed=1)
    assert report["policy"]["accuracy"] >= 0.82
    assert report["policy"]["accuracy"] > report["baselines"]["one_threshold"]["accuracy"] + 0.01


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("name", "budget", "bar", "online"),
    [
        *((name, budget, bar, False) for name, bars in BARS.items() for budget, bar in bars.items()),
        *(
            pytest.param(
                name,
                budget,
                bar,
                True,
                marks=[pytest.mark.xfail(reason=ONLINE_SHORT, strict=False)] if (name, budget) in ONLINE_MISSED else [],
            )
            for name, bars in ONLINE_BARS.items()
            for budget, bar in bars.items()
        ),
    ],
)
def test_the_recorded_bars_are_reached(routing, name, budget, bar, online):
    records, prices = read_records(routing / f"{name}.csv.gz"), read_prices(routing / "prices.json", name)
    reports = [replay(records, prices, Decimal(str(budget)), seed=seed, online=online) for seed in SEEDS]
    assert all(r["policy"]["overrun_pct"] == 0.0 for r in reports)
    assert 100 * np.mean([r["policy"]["accuracy"] for r in reports]) >= bar


def test_online_a_provider_that_is_dearer_and_clearly_worse_is_not_looked_at_for_long(recordings):
    prices = {"weak": Money.usd("0.002"), "fair": Money(100), "strong": Money.usd("0.001"), "other": Money.usd("0.0005")}
    test = recordings(900, skill={"weak": 0.35, "fair": 0.7, "strong": 0.92, "other": 0.8})
    run = Replay(test, prices, Money.usd("0.5"))
    learn_online(run)
    assert run.asked["weak"].mean() < 0.15
    assert run.asked["strong"].mean() > run.asked["weak"].mean()
    assert run.spent <= run.limit


def test_online_goes_on_where_hardly_any_picture_was_answered_by_everybody(recordings, prices):
    test = recordings(300)
    for i in range(300):
        if i % 3:
            test.answers["strong"][i] = None
            test.rewards["strong"][i] = np.nan
    run = Replay(test, prices, Money.usd("0.03"))
    learn_online(run)
    assert run.spent <= run.limit
    assert (run.asked["weak"] | run.asked["fair"] | run.asked["strong"]).all()


def test_where_nobody_tells_anything_agreement_is_what_is_replayed_and_it_is_called_so(recordings, prices):
    report = replay(recordings(400).without_truth(), prices, Decimal(5))
    assert report["target"] == "agreement"
    assert report["policy"]["accuracy"] > report["baselines"]["fair"]["accuracy"]


@pytest.mark.parametrize("online", [False, True])
def test_with_rewards_alone_it_is_chosen_by_them_and_without_those_nothing_is_replayed(recordings, prices, online):
    records = recordings(400)
    blind = {p: [None] * len(records) for p in records.providers}
    report = replay(replace(records, answers=blind, truth=[None] * len(records)), prices, Decimal(10), online=online)
    assert report["policy"]["accuracy"] == pytest.approx(report["baselines"]["weak" if online else "strong"]["accuracy"])
    with pytest.raises(BadRecords, match="nobody says how good"):
        replay(replace(records.without_truth(), answers=blind), prices, Decimal(10), online=online)


@pytest.mark.parametrize("online", [False, True])
def test_a_dear_provider_that_never_answers_is_right_about_nothing(recordings, prices, online):
    records = recordings(300)
    silent = replace(
        records,
        answers={**records.answers, "strong": [None] * len(records)},
        rewards={**records.rewards, "strong": np.full(len(records), np.nan)},
    )
    report = replay(silent, prices, Decimal(5), online=online)
    assert report["baselines"]["strong"] == {"accuracy": 0.0, "known": 0.0, "spend_usd_per_10k": pytest.approx(10.0)}
    assert report["policy"]["share"]["strong"] == 0.0
    json.dumps(report, allow_nan=False)


def test_pictures_of_which_nobody_knows_the_truth_count_in_no_row(recordings, prices):
    records = recordings(400)
    half = replace(
        records,
        truth=[t if i % 2 else None for i, t in enumerate(records.truth)],
        rewards={p: np.where(np.arange(len(records)) % 2, r, np.nan) for p, r in records.rewards.items()},
    )
    report = replay(half, prices, Decimal(10))
    known = report["baselines"]["strong"]["known"]
    assert 0.4 < known < 0.6
    assert all(row["known"] == known for row in [report["policy"], *report["baselines"].values()])
    assert report["baselines"]["oracle"]["accuracy"] > report["baselines"]["strong"]["accuracy"]


def silenced(records: Records, provider: str, share: float) -> Records:
    """This provider answers all but a share of the pictures."""
    rng = np.random.default_rng(5)
    gone = rng.random(len(records)) < share
    said = [None if g else a for g, a in zip(gone, records.answers[provider], strict=True)]
    known = np.where(gone, np.nan, records.rewards[provider])
    return replace(records, answers={**records.answers, provider: said}, rewards={**records.rewards, provider: known})


def test_online_a_picture_that_the_cheapest_can_not_answer_is_answered_by_another(recordings, prices):
    records = silenced(recordings(1_500), "weak", 0.4)
    report = replay(records, prices, Decimal(6), seed=1, online=True)["policy"]
    assert report["share"]["fair"] + report["share"]["strong"] > 0.5, "also beyond those: they are looked at and escalated to"
    assert report["accuracy"] > 0.72


def test_online_a_free_provider_that_is_never_right_is_not_listened_to(recordings, prices):
    records = recordings(1_500, skill={"weak": 0.2, "fair": 0.75, "strong": 0.88})
    worthless = replace(records, answers={**records.answers, "weak": [(Seen("label9"),)] * len(records)})
    worthless = replace(worthless, rewards={**worthless.rewards, "weak": np.zeros(len(records))})
    report = replay(worthless, prices, Decimal("7.5"), seed=1, online=True)
    assert report["policy"]["accuracy"] > report["baselines"]["fair"]["accuracy"]


def test_online_of_providers_at_one_price_the_best_is_asked(recordings):
    alike = dict.fromkeys(("weak", "fair", "strong"), Money.usd("0.0005"))
    report = replay(recordings(1_500), alike, Decimal("5.5"), seed=1, online=True)
    assert report["policy"]["accuracy"] > report["baselines"]["strong"]["accuracy"] - 0.02
    free = dict.fromkeys(alike, Money(0))
    report = replay(recordings(1_500), free, Decimal(0), seed=1, online=True)
    assert report["policy"]["accuracy"] > report["baselines"]["fair"]["accuracy"] + 0.05


@pytest.mark.parametrize(("usd", "base"), [((1, 1, 1), "strong"), ((2, 1, 1), "strong"), ((1, 1, 2), "fair"), ((0, 1, 2), "fair")])
def test_the_base_is_the_cheapest_that_is_any_good_and_of_equal_prices_the_best(recordings, usd, base):
    records = recordings(80, skill={"weak": 0.0, "fair": 0.75, "strong": 0.95})
    records = replace(records, answers={**records.answers, "weak": [(Seen("label9"),)] * len(records)})
    prices = {p: Money.usd(f"0.000{n}") for p, n in zip(records.providers, usd, strict=True)}
    run = Replay(records, prices, Money.usd("1"))
    run.ask(range(80), records.providers)
    chosen, _, good = choose_pair(run, range(80))
    assert (chosen, set(good)) == (base, {"fair", "strong"})


def test_online_where_money_suffices_for_the_cheapest_alone_none_is_wasted_on_looking(recordings):
    two = {"weak": Money.usd("0.0002"), "strong": Money.usd("0.0005")}
    report = replay(recordings(600).only(two), two, Decimal(2), seed=1, online=True)
    assert report["policy"]["share"] == {"weak": 1.0, "strong": 0.0}
