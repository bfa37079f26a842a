"""`GET /v1/experiments/{name}/report`: the verdict, and the numbers that it rests on."""

from typing import ClassVar

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from gateway import errors
from gateway.api.resource import Description, GatewayResource, describes, json_response, read_query
from gateway.errors import InvalidParameter, NotFound
from gateway.experiments.report_schema import ReportOut
from gateway.experiments.store import NoExperiment
from gateway.keys import Role
from providers.contract import Feature


class ReportQuery(BaseModel):
    """What to report on."""

    model_config = ConfigDict(extra="forbid")

    feature: Feature | None = Field(None, description="The first of the experiment's features by default.")


class ExperimentReport(GatewayResource):
    """One experiment's report."""

    roles: ClassVar[frozenset[Role]] = frozenset({"app", "finance"})

    @describes(
        Description("The verdict and its numbers", answers=ReportOut, query=ReportQuery, errors=(errors.NotFound, errors.InvalidParameter))
    )
    def get(self, name: str) -> Response:
        """Report."""
        from gateway.experiments.reporting import report_on  # noqa: PLC0415 -- scipy, which only reports need

        asked = read_query(ReportQuery, request.args)
        try:
            experiment = self.parts.experiments.get(name)
        except NoExperiment as error:
            raise NotFound(f"{error} GET /v1/experiments lists them.") from error
        if asked.feature and asked.feature not in experiment.terms.features:
            raise InvalidParameter("feature", f"feature: this experiment compares {', '.join(experiment.terms.features)}.")
        return json_response(report_on(self.parts.experiments, experiment, asked.feature))
