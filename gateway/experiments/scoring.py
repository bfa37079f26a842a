"""One answer against another, or against the truth, counted for one feature of one picture. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.experiments.matching import covered, match_pairs, match_things
from gateway.experiments.texts import WORD_LIKENESS_MIN, likeness, word_likeness, words_of
from gateway.experiments.vocabulary import OPEN_FEATURES, Vocabulary
from providers.contract import Detection, Feature

CROWD = "crowd"
"""The `provider_label` of a true region that holds many things of its label: what is found in it is neither right nor wrong."""

_IN_CROWD_MIN = 0.5


@dataclass(slots=True)
class Score:
    """What of an answer is right, by what it was held against.

    Attributes:
        right: found and there; of text: words.
        wrong: found and not there.
        missed: there and not found.
        overlap: sum of the pairs' intersection over union; `placed` is how many pairs have boxes.
        count_error: sum over labels of how far the number of things found is from the number there.
        likeness: of the whole text, in [0, 1]; None for other features.
        apart: what one side can't say, by label: how often it was found or there. No part of the above.
        by_label: right, wrong and missed, by label.
    """

    right: int = 0
    wrong: int = 0
    missed: int = 0
    overlap: float = 0.0
    placed: int = 0
    count_error: int = 0
    likeness: float | None = None
    apart: Counter[str] = field(default_factory=Counter)
    by_label: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def f1(self) -> float:
        """2 right / (2 right + wrong + missed); 1 where there is nothing and nothing was found."""
        everything = 2 * self.right + self.wrong + self.missed
        return 2 * self.right / everything if everything else 1.0


def score(
    feature: Feature, found: Sequence[Detection], known: Sequence[Detection], shared: Vocabulary | None, *, iou_min: float = 0.5
) -> Score:
    """Hold an answer against another.

    Args:
        feature: everything else is left aside.
        found: what is judged, without what is too unsure to count.
        known: what counts as right.
        shared: the labels that both sides can say; None: every label.
        iou_min: overlap from which on two boxes are one thing.
    """
    found, known = ([one for one in side if one.feature == feature] for side in (found, known))
    result = Score()
    if shared is not None and feature in OPEN_FEATURES:
        result.apart = Counter(one.label for one in (*found, *known) if one.label not in shared)
        found, known = ([one for one in side if one.label in shared] for side in (found, known))
    _SCORERS[feature](result, found, known, iou_min)
    return result


def _score_boxes(result: Score, found: list[Detection], known: list[Detection], iou_min: float) -> None:
    found, known = ([one for one in side if one.box is not None] for side in (found, known))
    there = [one for one in known if one.provider_label != CROWD]
    matches = match_things(found, there, iou_min)
    matched = {match.found for match in matches}
    lost = _outside_crowds([one for n, one in enumerate(found) if n not in matched], [one for one in known if one.provider_label == CROWD])
    right, wrong, all_there = (Counter(one.label for one in side) for side in ([found[n] for n in matched], lost, there))
    result.overlap = sum(match.iou for match in matches)
    result.placed = len(matches)
    for label in sorted({*right, *wrong, *all_there}):
        _count(result, label, right[label], wrong[label], all_there[label] - right[label])


def _outside_crowds(lost: list[Detection], crowds: list[Detection]) -> list[Detection]:
    """Without what may be one of a crowd of its label."""
    regions = {label: [one.box for one in crowds if one.label == label and one.box] for label in {one.label for one in crowds}}
    return [one for one in lost if not (one.box and one.label in regions and covered(one.box, regions[one.label]) >= _IN_CROWD_MIN)]


def _score_names(result: Score, found: list[Detection], known: list[Detection], _iou_min: float) -> None:
    mine, theirs = {one.label for one in found}, {one.label for one in known}
    for label in sorted(mine | theirs):
        _count(result, label, int(label in mine and label in theirs), int(label not in theirs), int(label not in mine))


def _score_texts(result: Score, found: list[Detection], known: list[Detection], _iou_min: float) -> None:
    mine, theirs = ([one.text or "" for one in side] for side in (found, known))
    my_words, their_words = words_of(mine), words_of(theirs)
    right = len(match_pairs(word_likeness(my_words, their_words), WORD_LIKENESS_MIN))
    result.likeness = likeness(" ".join(mine), " ".join(theirs))
    _count(result, "word", right, len(my_words) - right, len(their_words) - right)


_SCORERS: dict[Feature, Callable[[Score, list[Detection], list[Detection], float], None]] = {
    "objects": _score_boxes,
    "faces": _score_boxes,
    "labels": _score_names,
    "moderation": _score_names,
    "text": _score_texts,
}


def _count(result: Score, label: str, right: int, wrong: int, missed: int) -> None:
    result.right += right
    result.wrong += wrong
    result.missed += missed
    result.count_error += abs(wrong - missed)
    if right or wrong or missed:
        result.by_label[label] = (right, wrong, missed)
