"""`/v1/experiments`: providers compared on our own pictures."""

from typing import ClassVar

from flask import Response, g, request

from cost.ledger import LedgerUnavailable as Unavailable
from gateway import errors
from gateway.api.experiment_schemas import ExperimentIn, ExperimentOut, ExperimentsOut, TruthIn, VerdictIn, experiment_out
from gateway.api.resource import Description, GatewayResource, describes, json_response, read_body
from gateway.errors import Conflict, InvalidParameter, LedgerUnavailable, NotFound
from gateway.experiments import making
from gateway.experiments.judging import BadVerdict, judge, tell_truth
from gateway.experiments.making import BadTerms
from gateway.experiments.store import Experiment, ExperimentExists, NoExperiment
from gateway.experiments.terms import TRUTH
from gateway.keys import Role
from providers.contract import BoundingBox, Detection


class _ExperimentResource(GatewayResource):
    roles: ClassVar[frozenset[Role]] = frozenset({"app", "finance"})

    def _found(self, name: str) -> Experiment:
        try:
            return self.parts.experiments.get(name)
        except NoExperiment as error:
            raise NotFound(f"{error} GET /v1/experiments lists them.") from error

    def _shown(self, one: Experiment) -> ExperimentOut:
        return experiment_out(one, self.parts.experiments.pictures(one.name), self.parts.ledger.budgets())

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
        shown = [experiment_out(one, pictures.get(one.name, 0), budgets) for one in self.parts.experiments.all()]
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
