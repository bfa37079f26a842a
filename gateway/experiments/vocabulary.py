"""Which labels an arm can say at all. What only one side can say is no mistake of the other, and none of its own."""

from collections.abc import Iterable, Sequence

from gateway.experiments.terms import Arm, Observation
from providers.contract import Detection, Feature
from providers.labels import known_labels

OPEN_FEATURES: frozenset[Feature] = frozenset({"objects", "labels", "moderation"})
"""Faces and text have one label, which everybody knows."""

Vocabulary = frozenset[str]


def vocabulary_of(arm: Arm, observations: Sequence[Observation], feature: Feature) -> Vocabulary:
    """What its providers are known to have a name for, and everything that it has said here."""
    answers = [answer for one in observations if (answer := one.answers.get(arm.name)) is not None]
    providers = {*arm.providers, *(name for answer in answers for name in answer.provider.split(", ") if name)}
    known = [known_labels(provider, feature) for provider in providers]
    return frozenset().union(*known, said(feature, (found for answer in answers for found in answer.detections)))


def said(feature: Feature, detections: Iterable[Detection]) -> Vocabulary:
    """The labels of a feature that occur."""
    return frozenset(found.label for found in detections if found.feature == feature)
