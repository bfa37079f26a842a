"""`/v1/experiments`: providers compared on our own pictures."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from flask import Response, g, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from cost.ledger import BudgetStatus
from cost.ledger import LedgerUnavailable as Unavailable
from gateway import errors
from gateway.api.resource import Description, GatewayResource, describes, json_response, read_body
from gateway.errors import Conflict, InvalidParameter, LedgerUnavailable, NotFound
from gateway.experiments import making
from gateway.experiments.asking import spent
from gateway.experiments.judging import BadVerdict, judge, tell_truth
from gateway.experiments.making import BadTerms
from gateway.experiments.store import Experiment, ExperimentExists, NoExperiment
from gateway.experiments.terms import TRUTH, Arm, Stop, Terms
from gateway.keys import Role
from gateway.wire.answer import BoxOut, Usd
from gateway.wire.options import Dollars, Strategy
from providers.contract import BoundingBox, Detection, Feature

_ROLES: frozenset[Role] = frozenset({"app", "finance"})
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$"
_DIGEST = r"^[0-9a-f]{64}$"

Share = Annotated[float, Field(ge=0, le=1)]


def _listed(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class ArmIn(_Strict):
    """One way to answer: certain providers, or all of them by a strategy."""

    name: Annotated[str, Field(pattern=_NAME)]
    providers: Annotated[
        list[str] | None, BeforeValidator(_listed), Field(description="Who may be asked; everybody where it is empty.")
    ] = None
    strategy: Strategy | None = None
    weight: Annotated[float, Field(ge=0, le=1_000_000, description="Share of a split, beside the other arms' weights.")] = 1.0


class StopIn(_Strict):
    """When it ends by itself."""

    pictures: Annotated[int | None, Field(ge=1)] = None
    days: Annotated[float | None, Field(gt=0, le=3650)] = None
    decided: Annotated[bool, Field(description="As soon as the verdict is no longer open.")] = False
    difference: Annotated[float, Field(gt=0, lt=1, description="The smallest difference of quality that would matter.")] = 0.02


class ExperimentIn(_Strict):
    """An experiment."""

    name: Annotated[str, Field(pattern=_NAME)]
    mode: Annotated[
        Literal["split", "shadow", "paired"],
        Field(
            description="split: each unit is answered by one arm. shadow: clients get what they would get anyway, the first arm; the others"
            " are asked beside. paired: every arm is asked about every picture, beside the requests."
        ),
    ]
    arms: Annotated[list[ArmIn], Field(min_length=2, max_length=6)]
    unit: Annotated[Literal["client", "subject", "image"], Field(description="What always stays in one arm.")] = "image"
    reference: Annotated[str | None, Field(description="Whose answers count as right: a provider, truth, or none.")] = None
    sample_rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    budget_usd: Annotated[Dollars | None, Field(description="Of everything asked beside the requests: a hard limit, once for all.")] = None
    features: Annotated[list[Feature], BeforeValidator(_listed), Field(min_length=1)] = ["objects"]
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
    providers: list[str]
    strategy: str
    weight: float


class ExperimentOut(_Strict):
    """An experiment as it stands."""

    name: str
    state: Literal["draft", "running", "stopped"]
    mode: str
    arms: list[ArmOut]
    unit: str
    reference: str | None = None
    sample_rate: float
    budget_usd: Usd | None = None
    spent_usd: Annotated[Usd | None, Field(description="Of the budget: settled, held and unknown.")] = None
    features: list[Feature]
    stop: StopIn
    min_confidence: float
    iou_min: float
    created_by: str
    created_at: datetime
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    stopped_because: str | None = None
    pictures: int
    shed: Annotated[int, Field(description="Pictures left out because clients needed the time, or the money.")]


class ExperimentsOut(_Strict):
    """All experiments, the newest first."""

    experiments: list[ExperimentOut]


class VerdictIn(_Strict):
    """What a person says of a picture."""

    right: Annotated[list[str] | None, Field(description="The arms that are right: all, some or none. null takes it back.")]


class ThingIn(_Strict):
    """One thing that is on a picture."""

    feature: Feature = "objects"
    label: Annotated[str, Field(min_length=1, max_length=128)]
    box: BoxOut | None = None
    text: str | None = None


class TruthIn(_Strict):
    """Everything that is on a picture."""

    things: Annotated[list[ThingIn], Field(max_length=1_000)]


class _ExperimentResource(GatewayResource):
    roles: ClassVar[frozenset[Role]] = _ROLES

    def _found(self, name: str) -> Experiment:
        try:
            return self.parts.experiments.get(name)
        except NoExperiment as error:
            raise NotFound(str(error)) from error

    def _shown(self, one: Experiment) -> ExperimentOut:
        return _shown(one, self.parts.experiments.pictures(one.name), self.parts.ledger.budgets())

    def _start(self, name: str) -> Experiment:
        try:
            started = making.start(name, self.parts.experiments, self.parts.ledger)
        except NoExperiment as error:
            raise Conflict(f"{error} One that was started can't be started again.") from error
        except Unavailable as error:
            raise LedgerUnavailable(f"Its budget can't be recorded right now: {error}.", retry_after_s=5) from error
        self.parts.live.refresh()
        return started


class Experiments(_ExperimentResource):
    """All experiments."""

    @describes(Description("Every experiment, the newest first", answers=ExperimentsOut))
    def get(self) -> Response:
        """List them."""
        pictures, budgets = self.parts.experiments.counts(), self.parts.ledger.budgets()
        shown = [_shown(one, pictures.get(one.name, 0), budgets) for one in self.parts.experiments.all()]
        return json_response(ExperimentsOut(experiments=shown))

    @describes(
        Description(
            "Make an experiment; from its start on its terms are fixed",
            answers=ExperimentOut,
            status=201,
            body=ExperimentIn,
            errors=(errors.Conflict, errors.InvalidParameter, errors.LedgerUnavailable),
        )
    )
    def post(self) -> Response:
        """Make one."""
        asked = read_body(ExperimentIn, request)
        terms = asked.terms()
        try:
            making.check(terms, self.parts.dispatcher.lines)
            made = self.parts.experiments.create(terms, g.key.name)
        except BadTerms as error:
            raise InvalidParameter(error.parameter, str(error)) from error
        except ExperimentExists as error:
            raise Conflict(str(error)) from error
        return json_response(self._shown(self._start(made.name) if asked.start else made), 201)


class ExperimentOfName(_ExperimentResource):
    """One experiment."""

    @describes(Description("One experiment", answers=ExperimentOut, errors=(errors.NotFound,)))
    def get(self, name: str) -> Response:
        """Show it."""
        return json_response(self._shown(self._found(name)))


class ExperimentStart(_ExperimentResource):
    """A draft begins."""

    @describes(Description("Start a draft", answers=ExperimentOut, errors=(errors.NotFound, errors.Conflict, errors.LedgerUnavailable)))
    def post(self, name: str) -> Response:
        """Start it."""
        self._found(name)
        return json_response(self._shown(self._start(name)))


class ExperimentStop(_ExperimentResource):
    """A running experiment ends."""

    @describes(Description("Stop an experiment, once for all", answers=ExperimentOut, errors=(errors.NotFound, errors.Conflict)))
    def post(self, name: str) -> Response:
        """Stop it."""
        self._found(name)
        try:
            stopped = self.parts.experiments.stop(name, f"{g.key.name} stopped it")
        except NoExperiment as error:
            raise Conflict(str(error)) from error
        self.parts.live.refresh()
        return json_response(self._shown(stopped))


class ExperimentVerdict(_ExperimentResource):
    """What a person says of one picture."""

    @describes(
        Description(
            "Say which arms are right about a picture", status=204, body=VerdictIn, errors=(errors.NotFound, errors.InvalidParameter)
        )
    )
    def put(self, name: str, digest: str) -> Response:
        """Note it."""
        asked = read_body(VerdictIn, request)
        try:
            judge(self.parts.experiments, self.parts.comparisons, self._found(name), digest, asked.right, g.key.name)
        except BadVerdict as error:
            raise InvalidParameter("right", str(error)) from error
        except NoExperiment as error:
            raise NotFound(str(error)) from error
        return Response(status=204)


class ExperimentTruth(_ExperimentResource):
    """What is on one picture."""

    @describes(Description("Say what is on a picture", status=204, body=TruthIn, errors=(errors.NotFound, errors.InvalidParameter)))
    def put(self, name: str, digest: str) -> Response:
        """Note it."""
        asked = read_body(TruthIn, request)
        boxes = [None if one.box is None else BoundingBox(**one.box.model_dump()) for one in asked.things]
        things = [
            Detection(one.feature, one.label, 1.0, box, TRUTH, one.label, one.text) for one, box in zip(asked.things, boxes, strict=True)
        ]
        try:
            tell_truth(self.parts.experiments, self.parts.comparisons, self._found(name), digest, things)
        except NoExperiment as error:
            raise NotFound(str(error)) from error
        return Response(status=204)


class KeptPicture(GatewayResource):
    """A picture that was kept."""

    roles: ClassVar[frozenset[Role]] = _ROLES

    @describes(Description("Forget a kept picture", status=204, errors=(errors.NotFound,)))
    def delete(self, digest: str) -> Response:
        """Delete it."""
        if not self.parts.pictures.delete(digest):
            raise NotFound(f"No picture {digest} is kept.")
        return Response(status=204)


def _shown(one: Experiment, pictures: int, budgets: Sequence[BudgetStatus]) -> ExperimentOut:
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
