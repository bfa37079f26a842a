import re

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from gateway.errors import GatewayError
from tests.gateway.apps import app_of
from tests.processes import ADMIN
from tests.waiting import until


def test_every_described_method_is_in_the_document_and_nothing_dangles(client):
    document = client.get("/openapi.json").json
    assert document["openapi"] == "3.1.0"
    assert {"/v1/detections", "/v1/providers", "/v1/keys", "/v1/keys/{name}", "/healthz", "/readyz"} <= set(document["paths"])
    post = document["paths"]["/v1/detections"]["post"]
    assert {"200", "400", "401", "403", "413", "415", "422", "503", "504"} <= set(post["responses"])
    assert {"image/jpeg", "multipart/form-data", "application/json"} <= set(post["requestBody"]["content"])
    assert post["security"] == [{"key": []}]
    references = set(re.findall(r'"#/components/schemas/(\w+)"', client.get("/openapi.json").text))
    assert references <= set(document["components"]["schemas"])


def test_the_document_begins_with_pictures_knows_every_error_and_each_operation_is_under_its_subject(client):
    document = client.get("/openapi.json").json
    assert next(iter(document["paths"])) == "/v1/detections"
    assert next(one["name"] for one in document["tags"]) == "detections"
    told = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert {error.code for error in GatewayError.__subclasses__()} == set(told)
    assert document["paths"]["/v1/costs/forecast"]["get"]["tags"] == ["costs"]
    assert document["paths"]["/healthz"]["get"]["tags"] == ["service"]


def test_every_field_of_every_answer_and_body_is_explained(client):
    schemas = client.get("/openapi.json").json["components"]["schemas"]
    fields = {f"{schema}.{name}": told for schema, said in schemas.items() for name, told in said.get("properties", {}).items()}
    assert len(fields) > 200
    unexplained = [name for name, told in fields.items() if not told.get("description") and "$ref" not in told]
    assert unexplained == []


def test_whatever_is_sent_gets_an_answer_that_the_document_describes(tmp_path_factory):
    app = app_of(tmp_path_factory.mktemp("fuzz"))
    # Python 3.11 fails where two threads parse at the same time: pytest parses what schemathesis imports late, torch what it loads.
    until(lambda: app.test_client().get("/readyz").status_code == 200)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    for operation in schema.get_all_operations():
        fuzz = operation.ok().as_strategy()

        @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=fuzz)
        def send(case):
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {ADMIN}"}
            response = case.call()
            if response.status_code not in {503, 504}:  # what is made up may name no provider that can, or no time; a 500 is a bug
                case.validate_response(response, checks=[not_a_server_error])
            case.validate_response(response, checks=[status_code_conformance, response_schema_conformance])

        send()
    app.extensions["gateway"].close()
