"""Making an experiment: what was asked for, checked against the providers there are, and its money put aside."""

import re
from collections.abc import Mapping

from cost.ledger import Ledger
from gateway.experiments.answers import reference_arm
from gateway.experiments.asking import budget_of
from gateway.experiments.store import Experiment, ExperimentStore
from gateway.experiments.terms import NAME, NAME_WORDS, TRUTH, Arm, Terms
from gateway.line import Line


class BadTerms(ValueError):
    """Terms that can't be; `parameter` names what is wrong with them."""

    def __init__(self, parameter: str, problem: str) -> None:
        super().__init__(f"{parameter}: {problem}.")
        self.parameter = parameter


def check(terms: Terms, lines: Mapping[str, Line]) -> None:
    """Refuse terms that could not run here.

    Raises:
        BadTerms: with the first problem.
    """
    if not re.fullmatch(NAME, terms.name):
        raise BadTerms("name", NAME_WORDS)
    names = [arm.name for arm in terms.arms]
    if len(set(names)) != len(names):
        raise BadTerms("arms", "two arms have one name")
    for arm in terms.arms:
        for provider in arm.providers:
            if provider not in lines:
                raise BadTerms("arms", f"there is no provider {provider!r}; enabled are {', '.join(lines)}")
        known = frozenset().union(*(line.provider.features for line in _asked(arm, lines)))
        if missing := sorted(set(terms.features) - known):
            raise BadTerms("arms", f"{arm.name} can't answer {', '.join(missing)}")
    if terms.mode == "split" and not sum(arm.weight for arm in terms.arms) > 0:
        raise BadTerms("arms", "at least one arm of a split needs a weight above 0")
    if terms.reference not in {None, TRUTH} and reference_arm(terms) is None:
        raise BadTerms("reference", f"{terms.reference!r} is neither 'truth' nor a provider of an arm")
    behind = terms.arms[1:] if terms.mode == "shadow" else terms.arms
    if terms.mode != "split" and terms.budget is None and any(line.paid for arm in behind for line in _asked(arm, lines)):
        raise BadTerms("budget_usd", "pictures are sent to paid providers beside the requests; say what that may cost in all")


def start(name: str, store: ExperimentStore, ledger: Ledger) -> Experiment:
    """Put its money aside, then let pictures take part.

    Raises:
        NoExperiment: no draft of this name.
        cost.ledger.LedgerUnavailable: its budget can't be recorded, so that it is not started.
    """
    terms = store.get(name).terms
    budget = budget_of(terms) if terms.mode != "split" else None
    if budget is not None:
        ledger.put_budget(budget)
    return store.start(name)


def _asked(arm: Arm, lines: Mapping[str, Line]) -> list[Line]:
    return [lines[name] for name in arm.providers] if arm.providers else list(lines.values())
