"""One module a resource of the API, the problem documents and the OpenAPI description."""

from flask_restful import Api

from gateway.api.answers import AnswerOfId, Feedback
from gateway.api.batch import DetectionsBatch
from gateway.api.budgets import BudgetOfName, Budgets
from gateway.api.cost_entries import CostEntries
from gateway.api.costs import Costs
from gateway.api.detections import Detections
from gateway.api.experiment_reports import ExperimentReport
from gateway.api.experiments import (
    ExperimentOfName,
    Experiments,
    ExperimentStart,
    ExperimentStop,
    ExperimentTruth,
    ExperimentVerdict,
)
from gateway.api.forecast import CostForecast
from gateway.api.health import Liveness, Readiness
from gateway.api.in_house import InHouseCosts
from gateway.api.keys import KeyOfName, KeysOfAll
from gateway.api.metrics import Metrics
from gateway.api.openapi import OpenApi
from gateway.api.pictures import KeptPicture
from gateway.api.providers import Providers
from gateway.api.reconciliations import ReconciliationAcceptance, ReconciliationOfId, Reconciliations
from gateway.parts import Parts

RESOURCES = {
    "/v1/detections": Detections,
    "/v1/detections/batch": DetectionsBatch,
    "/v1/detections/<id>": AnswerOfId,
    "/v1/detections/<id>/feedback": Feedback,
    "/v1/providers": Providers,
    "/v1/costs": Costs,
    "/v1/costs/in-house": InHouseCosts,
    "/v1/costs/entries": CostEntries,
    "/v1/costs/forecast": CostForecast,
    "/v1/costs/reconciliations": Reconciliations,
    "/v1/costs/reconciliations/<reconciliation_id>": ReconciliationOfId,
    "/v1/costs/reconciliations/<reconciliation_id>/accept": ReconciliationAcceptance,
    "/v1/budgets": Budgets,
    "/v1/budgets/<name>": BudgetOfName,
    "/v1/experiments": Experiments,
    "/v1/experiments/<name>": ExperimentOfName,
    "/v1/experiments/<name>/start": ExperimentStart,
    "/v1/experiments/<name>/stop": ExperimentStop,
    "/v1/experiments/<name>/report": ExperimentReport,
    "/v1/experiments/<name>/verdicts/<digest>": ExperimentVerdict,
    "/v1/experiments/<name>/truths/<digest>": ExperimentTruth,
    "/v1/pictures/<digest>": KeptPicture,
    "/v1/keys": KeysOfAll,
    "/v1/keys/<name>": KeyOfName,
    "/healthz": Liveness,
    "/readyz": Readiness,
    "/metrics": Metrics,
    "/openapi.json": OpenApi,
}


def add_resources(api: Api, parts: Parts) -> None:
    """Put every resource at its address, each made with the parts."""
    for address, resource in RESOURCES.items():
        api.add_resource(resource, address, resource_class_kwargs={"parts": parts})
