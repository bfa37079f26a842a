import pytest

from gateway.api.resource import OPEN, GatewayResource
from tests.processes import ADMIN

OPEN_ADDRESSES = {"/healthz", "/readyz", "/metrics", "/openapi.json"}


def resources(app):
    for rule in app.url_map.iter_rules():
        view = getattr(app.view_functions[rule.endpoint], "view_class", None)
        if view is not None and issubclass(view, GatewayResource):  # pages: tests/gateway/web/test_gate.py
            yield rule, view


def test_only_the_open_addresses_answer_without_a_key(app, stranger):
    for rule, view in resources(app):
        assert (view.roles == OPEN) == (rule.rule in OPEN_ADDRESSES), rule.rule
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            response = stranger.open(rule.rule.replace("<name>", "x"), method=method)
            if rule.rule in OPEN_ADDRESSES:
                assert response.status_code < 400 or rule.rule == "/readyz", rule.rule  # which says 503 while the model loads
            else:
                assert (response.status_code, response.json["code"]) == (401, "unauthenticated"), rule.rule
                assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_every_route_is_a_resource_or_a_page_with_roles(app):
    for rule in app.url_map.iter_rules():
        view = getattr(app.view_functions[rule.endpoint], "view_class", None)
        assert isinstance(view.roles, frozenset), rule.rule


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dTpw",
        f"bearer{ADMIN}",
        f"Bearer {ADMIN}x",
        f"Bearer {ADMIN.upper()}",
        f"Token {ADMIN}",
        "Bearer vg_0_0",
    ],
)
def test_every_kind_of_wrong_key_gets_the_same_answer(stranger, header):
    response = stranger.get("/v1/providers", headers={"Authorization": header})
    assert (response.status_code, response.json["code"]) == (401, "unauthenticated")
    said = "This key is not known here" if header.startswith("Bearer") else "No key came with this request"
    assert response.json["detail"].startswith(said), "whatever is wrong with a key, nothing more is told"
    assert response.json["detail"].endswith("An admin makes keys: on the page /keys, or with `vision-gateway keys create`.")


def test_a_key_in_the_address_is_no_key(stranger):
    assert stranger.get(f"/v1/providers?key={ADMIN}").status_code == 401


@pytest.mark.parametrize(
    ("role", "method", "address", "status"),
    [
        ("app", "GET", "/v1/providers", 200),
        ("finance", "GET", "/v1/providers", 200),
        ("finance", "POST", "/v1/detections", 403),
        ("app", "GET", "/v1/keys", 403),
        ("finance", "DELETE", "/v1/keys/x", 403),
        ("admin", "GET", "/v1/keys", 200),
    ],
)
def test_a_role_may_do_its_own_and_no_more(app, stranger, role, method, address, status):
    keys = app.extensions["gateway"].keys
    keys.revoke("tester")
    _, token = keys.create("tester", role)
    response = stranger.open(address, method=method, headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == status
    if status == 403:
        assert response.json["code"] == "forbidden"
