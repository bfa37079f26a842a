"""The learned policies that this process uses: taken from the database within seconds of `vision-gateway tune`, without a restart."""

import logging
from collections.abc import Collection, Sequence

from sqlalchemy import Engine

from cost.escalation.artefact import BadArtefact
from cost.escalation.policy import Policy
from cost.escalation.rules import Rules
from cost.escalation.shelf import PolicyShelf
from cost.every import Every

log = logging.getLogger(__name__)

_EVERY_S = 2.0
_EMPTY_IS_USUAL = frozenset({"faces", "text", "moderation"})


class OnlyRules:
    """Where nothing is learned: everybody goes by the rules."""

    def __init__(self, order: Sequence[str], paid: Collection[str]) -> None:
        self._rules = {usual: Rules(order, paid, empty_is_weak=not usual) for usual in (True, False)}

    def of(self, feature: str) -> Policy | Rules:
        """What judges answers to this question."""
        return self._rules[feature in _EMPTY_IS_USUAL]

    def version(self, feature: str) -> int | None:  # noqa: ARG002 -- a policy has one
        """None: rules have no version."""
        return None


class Policies(OnlyRules):
    """One a process, shared by its threads; `close` it. While the database is away the policies stay that were in use."""

    def __init__(self, engine: Engine, order: Sequence[str], paid: Collection[str], *, every_s: float = _EVERY_S) -> None:
        """Look for new versions every `every_s` seconds. `order` and `paid` are for the rules that stand in for a policy."""
        self._shelf = PolicyShelf(engine)
        super().__init__(order, paid)
        self._in_use: dict[str, tuple[int, Policy]] = {}
        self._refused: set[int] = set()
        self._every = Every(every_s, self._look, "policies")
        self.refresh()

    def of(self, feature: str) -> Policy | Rules:
        """What judges answers to this question."""
        known = self._in_use.get(feature)
        return known[1] if known else super().of(feature)

    def version(self, feature: str) -> int | None:
        """Of the policy in use; None: rules."""
        known = self._in_use.get(feature)
        return known[0] if known else None

    def multiplier_for(self, usd_per_picture: float) -> float:
        """Which multiplier spends so many dollars a picture, as the policy fitted on most records expects; else as the rules guess."""
        learned = [policy for _, policy in self._in_use.values()]
        return (
            max(learned, key=lambda p: p.records).multiplier_for(usd_per_picture)
            if learned
            else self._rules[False].multiplier_for(usd_per_picture)
        )

    def refresh(self) -> None:
        """Take what is in use now. Never fails."""
        self._every.now()

    def close(self) -> None:
        """Look no more."""
        self._every.close()

    def _look(self) -> None:
        wanted = self._shelf.in_use()
        known = {feature: held for feature, held in self._in_use.items() if wanted.get(feature) == held[0]}
        for feature, version in wanted.items():
            if feature not in known and version not in self._refused and (policy := self._read(version)):
                known[feature] = (version, policy)
                log.info("policy.in_use", extra={"feature": feature, "version": version, "records": policy.records})
        self._in_use = known

    def _read(self, version: int) -> Policy | None:
        try:
            return self._shelf.read(version)
        except BadArtefact as error:  # another release's, or damaged: rules are better than a guess at what it says
            self._refused.add(version)
            log.warning("policy.refused", extra={"version": version, "error": str(error)})
            return None
