import pytest
import sqlalchemy as sa
from flask import Flask
from flask_restful import Resource

from gateway import errors
from gateway.api.problems import ProblemApi
from gateway.api.requests import tell_each_request
from providers.images import InvalidImage


class Failing(Resource):
    def get(self, how):
        raise {
            "own": errors.BudgetExhausted("no room", limit_usd="5.00"),
            "image": InvalidImage("cut short"),
            "bug": KeyError("secret inside"),
            "database": sa.exc.OperationalError("SELECT secret", {}, Exception("gone")),
            "late": errors.RateLimited("slow down", retry_after_s=2.4),
        }[how]


@pytest.fixture(params=["production", "TESTING", "DEBUG", "PROPAGATE_EXCEPTIONS"])
def client(request):
    app = Flask("failing")
    tell_each_request(app)
    api = ProblemApi(app)
    if request.param != "production":
        app.config[request.param] = True
    api.add_resource(Failing, "/fail/<how>")
    return app.test_client()


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("/fail/own", 402, "budget_exhausted"),
        ("/fail/image", 400, "invalid_image"),
        ("/fail/bug", 500, "internal_error"),
        ("/fail/database", 503, "ledger_unavailable"),
        ("/fail/late", 429, "rate_limited"),
        ("/nowhere", 404, "not_found"),
    ],
)
def test_every_mode_answers_with_the_same_problem_document(client, address, status, code):
    response = client.get(address)
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    problem = response.json
    assert (problem["status"], problem["code"], problem["request_id"]) == (status, code, response.headers["X-Request-ID"])
    assert "secret" not in response.text


def test_a_method_that_is_not_allowed_says_which_are(client):
    response = client.post("/fail/own")
    assert (response.status_code, response.json["code"]) == (405, "method_not_allowed")
    assert "GET" in response.headers["Allow"]
    assert response.json["detail"] == "Here is only: GET. See /docs."


def test_an_address_that_there_is_not_says_where_all_are(client):
    assert client.get("/nowhere").json["detail"] == "There is nothing at this address. All addresses are at /docs."


def test_members_and_retry_after_reach_the_client(client):
    assert client.get("/fail/own").json["limit_usd"] == "5.00"
    assert client.get("/fail/late").headers["Retry-After"] == "3", "never too early"


def test_every_error_class_has_a_status_a_code_and_a_title_of_its_own():
    classes = errors.GatewayError.__subclasses__()
    assert len({one.code for one in classes}) == len(classes) == 19
    assert all(one.title and one.remedy.endswith(".") and 400 <= one.status <= 504 for one in classes)
