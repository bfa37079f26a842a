"""The pictures of an experiment held against something: the rows that the statistics are made of. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from gateway.experiments.metrics import Row
from gateway.experiments.scoring import Score, score
from gateway.experiments.terms import TRUTH, Arm, Observation, Terms
from gateway.experiments.vocabulary import Vocabulary, said, vocabulary_of
from providers.contract import Detection, Feature

Yardstick = Literal["truth", "reference", "each_other", "nothing"]


@dataclass(frozen=True)
class Judged:
    """Observations of one feature, held against the truth, a reference arm, or the first arm.

    Attributes:
        yardstick: what answers were held against.
        reference: the arm that counts as right where `yardstick` is `reference`; of `each_other` the first arm.
        rows: by arm, in the order of `observations`; None where an arm was not asked.
        disagreement: of each observation: 1 less the mean F1 between each two arms, or against the truth where only one answered.
        agreement: each two arms' scores against each other, where both answered.
        apart: by label that one side can't say, how often each arm (or the truth) has it.
    """

    feature: Feature
    yardstick: Yardstick
    reference: str | None
    observations: Sequence[Observation]
    rows: Mapping[str, Sequence[Row | None]]
    disagreement: Sequence[float]
    agreement: Mapping[tuple[str, str], Sequence[Score]]
    apart: Mapping[str, Counter[str]] = field(default_factory=dict)

    @property
    def scored(self) -> bool:
        """Whether any answer could be held against anything."""
        return any(row is not None and row.score is not None for rows in self.rows.values() for row in rows)


def judge(terms: Terms, observations: Sequence[Observation], feature: Feature, truth_labels: Vocabulary = frozenset()) -> Judged:
    """Hold every answer against the yardstick.

    Args:
        terms: of the experiment.
        observations: its pictures.
        feature: what is compared.
        truth_labels: what the truth's makers had names for, besides the names that occur.
    """
    sure = [{name: _sure(answer.detections, terms) for name, answer in one.answers.items() if not answer.error} for one in observations]
    vocabularies = {arm.name: vocabulary_of(arm, observations, feature) for arm in terms.arms}
    true_words = truth_labels | said(feature, (found for one in observations for found in one.truth or ()))
    yardstick, reference = _yardstick(terms, observations)
    agreement: dict[tuple[str, str], list[Score]] = {pair: [] for pair in combinations([arm.name for arm in terms.arms], 2)}
    disagreement = []
    rows: dict[str, list[Row | None]] = {arm.name: [] for arm in terms.arms}
    apart: dict[str, Counter[str]] = {}
    for one, answers in zip(observations, sure, strict=True):
        known = _known(one, answers, yardstick, reference)
        words = true_words if yardstick == "truth" else vocabularies.get(reference or "", frozenset())
        complete = terms.mode == "split" or all(arm.name in answers for arm in terms.arms)
        truth_scores = []
        for name, its_rows in rows.items():
            if name not in one.answers:
                its_rows.append(None)
                continue
            held: Score | None = None
            if known is not None and name in answers and complete:
                held = score(feature, answers[name], known, vocabularies[name] & words, iou_min=terms.iou_min)
                truth_scores.append(held)
            its_rows.append(Row(one.answers[name], held, None if one.people is None else name in one.people))
        pairs = []
        for (a, b), scores in agreement.items():
            if a in answers and b in answers:
                held = score(feature, answers[a], answers[b], vocabularies[a] & vocabularies[b], iou_min=terms.iou_min)
                scores.append(held)
                pairs.append(held)
        disagreement.append(_mean(1 - held.f1 for held in pairs or truth_scores))
        _note_apart(apart, one, answers, vocabularies | ({TRUTH: true_words} if yardstick == "truth" else {}), feature)
    return Judged(feature, yardstick, reference, observations, rows, disagreement, agreement, apart)


def reference_arm(terms: Terms) -> Arm | None:
    """The arm that counts as right: of that name, or the first that asks that provider alone, or among others."""
    if terms.reference in {None, TRUTH}:
        return None
    fits = (
        lambda arm: arm.name == terms.reference,
        lambda arm: arm.providers == (terms.reference,),
        lambda arm: terms.reference in arm.providers,
    )
    return next((arm for fit in fits for arm in terms.arms if fit(arm)), None)


def _yardstick(terms: Terms, observations: Sequence[Observation]) -> tuple[Yardstick, str | None]:
    if terms.reference == TRUTH or any(one.truth is not None for one in observations):
        return "truth", None
    if terms.mode == "split":
        return "nothing", None
    arm = reference_arm(terms)
    return ("reference", arm.name) if arm else ("each_other", terms.arms[0].name)


def _known(
    one: Observation, answers: Mapping[str, Sequence[Detection]], yardstick: Yardstick, reference: str | None
) -> Sequence[Detection] | None:
    if yardstick == "truth":
        return one.truth
    return answers.get(reference) if reference else None


def _sure(detections: Iterable[Detection], terms: Terms) -> list[Detection]:
    return [found for found in detections if found.confidence >= terms.min_confidence]


def _note_apart(
    apart: dict[str, Counter[str]],
    one: Observation,
    answers: Mapping[str, Sequence[Detection]],
    vocabularies: Mapping[str, Vocabulary],
    feature: Feature,
) -> None:
    """Count what not everybody can say, by who said it."""
    if feature in {"faces", "text"}:
        return
    sides = {**answers, **({TRUTH: one.truth} if TRUTH in vocabularies and one.truth is not None else {})}
    for who, detections in sides.items():
        for found in detections:
            if found.feature == feature and not all(found.label in words for words in vocabularies.values()):
                apart.setdefault(found.label, Counter())[who] += 1


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else 0.0
