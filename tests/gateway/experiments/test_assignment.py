from gateway.experiments.assignment import arm_of, is_sampled, unit_hash
from gateway.experiments.statistics import sample_ratio_p
from gateway.experiments.terms import Arm

KEY, OTHER = b"k" * 16, b"o" * 16
ARMS = (Arm("a", weight=3), Arm("b", weight=1), Arm("never", weight=0))
UNITS = [f"unit {n}" for n in range(8_000)]


def test_a_unit_is_always_in_the_same_arm():
    assert [arm_of(KEY, unit, ARMS) for unit in UNITS[:200]] == [arm_of(KEY, unit, ARMS) for unit in UNITS[:200]]


def test_arms_get_their_weights_share_and_an_arm_without_weight_nobody():
    names = [arm_of(KEY, unit, ARMS).name for unit in UNITS]
    assert sample_ratio_p([names.count(arm.name) for arm in ARMS], [3, 1, 0]) > 0.001
    assert "never" not in names


def test_another_experiment_assigns_anew():
    first, second = ([arm_of(key, unit, ARMS[:2]).name for unit in UNITS] for key in (KEY, OTHER))
    both = sum(a == b == "b" for a, b in zip(first, second, strict=True))
    assert 400 < both < 600, "a sixteenth of 8,000, were they independent"


def test_who_is_sampled_says_nothing_about_the_arm():
    sampled = [arm_of(KEY, unit, ARMS[:2]).name for unit in UNITS if is_sampled(KEY, unit, 0.5)]
    assert sample_ratio_p([sampled.count("a"), sampled.count("b")], [3, 1]) > 0.001
    assert 3_700 < len(sampled) < 4_300


def test_raising_the_rate_keeps_those_who_were_in():
    before = {unit for unit in UNITS if is_sampled(KEY, unit, 0.1)}
    assert before <= {unit for unit in UNITS if is_sampled(KEY, unit, 0.2)}
    assert all(is_sampled(KEY, unit, 1.0) for unit in UNITS)


def test_what_is_kept_of_a_unit_does_not_name_it():
    assert "unit 1" not in unit_hash(KEY, "unit 1")
    assert unit_hash(KEY, "unit 1") != unit_hash(OTHER, "unit 1")
