"""What is sent and told of experiments, as `/v1/experiments` has it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from cost.ledger import BudgetStatus
from gateway.experiments.asking import spent
from gateway.experiments.store import Experiment
from gateway.experiments.terms import NAME, NAME_WORDS, Arm, Stop, Terms
from gateway.wire.answer import BoxOut, Usd
from gateway.wire.mistakes import spelt
from gateway.wire.options import Dollars, Strategy
from providers.contract import Feature

Share = Annotated[float, Field(ge=0, le=1)]


def _listed(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class ArmIn(_Strict):
    """One way to answer: certain providers, or all of them by a strategy."""

    name: Annotated[str, spelt(NAME, NAME_WORDS), Field(pattern=NAME)]
    providers: Annotated[
        list[str] | None, BeforeValidator(_listed), Field(description="Who may be asked; everybody where it is empty.")
    ] = None
    strategy: Annotated[Strategy | None, Field(description="By which its provider is chosen; auto by default.")] = None
    weight: Annotated[float, Field(ge=0, le=1_000_000, description="Share of a split, beside the other arms' weights.")] = 1.0


class StopIn(_Strict):
    """When it ends by itself."""

    pictures: Annotated[int | None, Field(description="After so many pictures.", ge=1)] = None
    days: Annotated[float | None, Field(description="After so many days.", gt=0, le=3650)] = None
    decided: Annotated[bool, Field(description="As soon as the verdict is no longer open.")] = False
    difference: Annotated[float, Field(gt=0, lt=1, description="The smallest difference of quality that would matter.")] = 0.02


class ExperimentIn(_Strict):
    """An experiment."""

    name: Annotated[str, spelt(NAME, NAME_WORDS), Field(pattern=NAME)]
    mode: Annotated[
        Literal["split", "shadow", "paired"],
        Field(
            description="split: each unit is answered by one arm. shadow: clients get what they would get anyway, the first arm; the others"
            " are asked beside. paired: every arm is asked about every picture, beside the requests."
        ),
    ]
    arms: Annotated[
        list[ArmIn], Field(description="What is compared; of shadow the first is what clients get anyway.", min_length=2, max_length=6)
    ]
    unit: Annotated[Literal["client", "subject", "image"], Field(description="What always stays in one arm.")] = "image"
    reference: Annotated[str | None, Field(description="Whose answers count as right: a provider, truth, or none.")] = None
    sample_rate: Annotated[float, Field(description="Share of the pictures that takes part.", gt=0, le=1)] = 1.0
    budget_usd: Annotated[Dollars | None, Field(description="Of everything asked beside the requests: a hard limit, once for all.")] = None
    features: Annotated[
        list[Feature], BeforeValidator(_listed), Field(description="Only requests for one of these take part.", min_length=1)
    ] = ["objects"]
    stop: StopIn = StopIn()
    min_confidence: Annotated[Share, Field(description="What is less sure is not compared.")] = 0.5
    iou_min: Annotated[float, Field(gt=0, le=1, description="Overlap from which on two boxes are one thing.")] = 0.5
    start: Annotated[bool, Field(description="At once. Otherwise it is a draft, which may be sent again.")] = True

    def terms(self) -> Terms:
        """In our own words."""
        return Terms(
            name=self.name,
            mode=self.mode,
            arms=tuple(Arm(arm.name, tuple(arm.providers or ()), arm.strategy or "auto", arm.weight) for arm in self.arms),
            unit=self.unit,
            reference=None if self.reference in {None, "", "none"} else self.reference,
            sample_rate=self.sample_rate,
            budget=self.budget_usd,
            features=tuple(dict.fromkeys(self.features)),
            stop=Stop(**self.stop.model_dump()),
            min_confidence=self.min_confidence,
            iou_min=self.iou_min,
        )


class ArmOut(_Strict):
    """An arm."""

    name: str
    providers: Annotated[list[str], Field(description="Who may be asked; everybody where it is empty.")]
    strategy: Annotated[str, Field(description="By which one of them is chosen.")]
    weight: Annotated[float, Field(description="Share of a split, beside the other arms' weights.")]


class ExperimentOut(_Strict):
    """An experiment as it stands."""

    name: str
    state: Annotated[Literal["draft", "running", "stopped"], Field(description="draft: may be changed. running. stopped: once for all.")]
    mode: Annotated[str, Field(description="split, shadow or paired.")]
    arms: Annotated[list[ArmOut], Field(description="What is compared.")]
    unit: Annotated[str, Field(description="What always stays in one arm: client, subject or image.")]
    reference: Annotated[str | None, Field(description="Whose answers count as right.")] = None
    sample_rate: Annotated[float, Field(description="Share of the pictures that takes part.")]
    budget_usd: Annotated[Usd | None, Field(description="A hard limit on everything asked beside the requests.")] = None
    spent_usd: Annotated[Usd | None, Field(description="Of the budget: settled, held and unknown.")] = None
    features: Annotated[list[Feature], Field(description="What is compared.")]
    stop: StopIn
    min_confidence: Annotated[float, Field(description="What is less sure is not compared.")]
    iou_min: Annotated[float, Field(description="Overlap from which on two boxes are one thing.")]
    created_by: str
    created_at: datetime
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    stopped_because: Annotated[str | None, Field(description="Why it ended.")] = None
    pictures: Annotated[int, Field(description="That have been compared.")]
    shed: Annotated[int, Field(description="Pictures left out because clients needed the time, or the money.")]


class ExperimentsOut(_Strict):
    """All experiments, the newest first."""

    experiments: Annotated[list[ExperimentOut], Field(description="Drafts too.")]


class VerdictIn(_Strict):
    """What a person says of a picture."""

    right: Annotated[list[str] | None, Field(description="The arms that are right: all, some or none. null takes it back.")]


class ThingIn(_Strict):
    """One thing that is on a picture."""

    feature: Annotated[Feature, Field(description="What kind of thing.")] = "objects"
    label: Annotated[str, Field(description="A canonical name, COCO's where one exists.", min_length=1, max_length=128)]
    box: Annotated[BoxOut | None, Field(description="Where it is.")] = None
    text: Annotated[str | None, Field(description="What is written there.")] = None


class TruthIn(_Strict):
    """Everything that is on a picture."""

    things: Annotated[list[ThingIn], Field(max_length=1_000, description="All of them; an empty list says that there is none.")]


def experiment_out(one: Experiment, pictures: int, budgets: Sequence[BudgetStatus]) -> ExperimentOut:
    """An experiment as it is told; `pictures` is how many it has, `budgets` are all there are."""
    terms = one.terms
    money = spent(budgets, terms)
    return ExperimentOut(
        name=one.name,
        state=one.state,
        mode=terms.mode,
        arms=[ArmOut(name=arm.name, providers=list(arm.providers), strategy=arm.strategy, weight=arm.weight) for arm in terms.arms],
        unit=terms.unit,
        reference=terms.reference,
        sample_rate=terms.sample_rate,
        budget_usd=None if terms.budget is None else str(terms.budget),
        spent_usd=None if money is None else str(money),
        features=list(terms.features),
        stop=StopIn(pictures=terms.stop.pictures, days=terms.stop.days, decided=terms.stop.decided, difference=terms.stop.difference),
        min_confidence=terms.min_confidence,
        iou_min=terms.iou_min,
        created_by=one.created_by,
        created_at=one.created_at,
        started_at=one.started_at,
        stopped_at=one.stopped_at,
        stopped_because=one.stopped_because or None,
        pictures=pictures,
        shed=one.shed,
    )
