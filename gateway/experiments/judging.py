"""What people and truths say of an experiment's pictures: into its statistics, and into the records that `tune` reads."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from cost.comparisons import ComparisonStore, UnknownComparison
from gateway.experiments.records import found_of
from gateway.experiments.store import Experiment, ExperimentStore, NoExperiment
from providers.contract import Detection


class BadVerdict(ValueError):
    """An arm that there is not."""


def judge(
    store: ExperimentStore, comparisons: ComparisonStore, experiment: Experiment, digest: str, right: Iterable[str] | None, judged_by: str
) -> None:
    """A person says which arms are right about a picture: all, some or none of them. None takes it back.

    Raises:
        BadVerdict: an arm that there is not.
        NoExperiment: the picture is not in it.
    """
    chosen = None if right is None else set(right)
    names = {arm.name for arm in experiment.terms.arms}
    if chosen is not None and not chosen <= names:
        raise BadVerdict(f"There is no arm {min(chosen - names)!r}; there are {', '.join(sorted(names))}.")
    ids = _ids(store, experiment, digest)
    store.judge(experiment.name, digest, chosen, judged_by)
    for record in (record for id_ in ids for record in comparisons.of_request(id_)):
        for arm in experiment.terms.arms:
            if len(arm.providers) == 1 and arm.providers[0] in record.replies:
                with contextlib.suppress(UnknownComparison):  # deleted in this moment
                    comparisons.judge(record.id, arm.providers[0], _verdict(arm.name, chosen))


def tell_truth(
    store: ExperimentStore, comparisons: ComparisonStore, experiment: Experiment, digest: str, things: Sequence[Detection]
) -> None:
    """Somebody says what is on a picture.

    Raises:
        NoExperiment: the picture is not in it.
    """
    ids = _ids(store, experiment, digest)
    store.tell_truths(experiment.name, {digest: things})
    for record in (record for id_ in ids for record in comparisons.of_request(id_)):
        here = tuple(replace(found, confidence=None) for found in found_of(things, record.feature))
        with contextlib.suppress(UnknownComparison):  # deleted in this moment
            comparisons.tell_truth(record.id, here)


def _verdict(arm: str, chosen: set[str] | None) -> Literal["correct", "wrong"] | None:
    if chosen is None:
        return None
    return "correct" if arm in chosen else "wrong"


def _ids(store: ExperimentStore, experiment: Experiment, digest: str) -> list[str]:
    ids = store.ids(experiment.name, digest)
    if not ids:
        raise NoExperiment(f"The picture {digest} is not in {experiment.name!r}.")
    return ids
