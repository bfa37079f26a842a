from flask import request
from werkzeug.routing import RequestRedirect

from gateway.api.lean_flask import LeanFlask
from gateway.api.whole_answer import WholeAnswer
from gateway.app import create_app
from gateway.settings import Settings


def an_app():
    app = LeanFlask("toy")
    app.before_request(lambda: None)
    app.after_request(lambda response: response)

    @app.route("/plain", methods=["GET", "POST"])
    def plain():
        return f"{request.method} {request.host} {request.query_string.decode()}"

    @app.route("/named/<name>")
    def named(name):
        return name

    @app.route("/folder/")
    def folder():
        return "folder"

    return app


def test_an_address_is_found_again_and_only_for_its_own_methods():
    client = an_app().test_client()
    for _ in range(2):
        assert client.get("/plain?a=%C3%BC", base_url="http://shop.example:8080").text == "GET shop.example:8080 a=%C3%BC"
        assert client.post("/plain").text == "POST localhost "
        assert client.delete("/plain").status_code == 405
        assert client.get("/nothing").status_code == 404


def test_what_stands_in_an_address_is_never_taken_for_that_of_another():
    client = an_app().test_client()
    assert [client.get(f"/named/{name}").text for name in ("one", "two", "one")] == ["one", "two", "one"]


def test_a_folder_without_its_slash_leads_to_it_also_when_it_was_found_before():
    client = an_app().test_client()
    assert client.get("/folder/").text == "folder"
    answer = client.get("/folder?a=1", base_url="http://shop.example")
    assert (answer.status_code, answer.headers["Location"]) == (RequestRedirect.code, "http://shop.example/folder/?a=1")


def test_what_stands_before_a_resource_may_answer_instead_of_it():
    app = an_app()
    app.before_request(lambda: ("not today", 503) if request.path == "/plain" else None)
    client = app.test_client()
    assert (client.get("/plain").text, client.get("/plain").status_code) == ("not today", 503)
    assert client.get("/named/one").text == "one"


def test_nothing_is_hung_on_where_it_would_be_passed_over(tmp_path):
    settings = Settings(database_url=f"sqlite:///{tmp_path}/gateway.db", spool=tmp_path / "spool", providers=("google_vision",))
    app = create_app(settings, {"GATEWAY_GOOGLE_VISION_INSECURE": "true", "GATEWAY_GOOGLE_VISION_ENDPOINT": "127.0.0.1:9"})
    try:
        hooks = (app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs, app.url_value_preprocessors)
        assert {blueprint for hook in hooks for blueprint, functions in hook.items() if functions} <= {None}
        assert not app.url_value_preprocessors
        assert app.config["SERVER_NAME"] is None
        assert app.config["TRUSTED_HOSTS"] is None
    finally:
        app.extensions["gateway"].close()


def test_a_whole_answer_is_sent_with_its_own_headers_or_with_those_that_somebody_made_of_them():
    sent = []

    def start_response(status, headers):
        sent.append((status, dict(headers)))

    answer = WholeAnswer(b"{}", "r1", (("X-Cache", "hit"),))
    assert answer({}, start_response) == [b"{}"]
    answer.headers["X-Cache"] = "changed"
    answer({}, start_response)
    assert [headers["X-Cache"] for _, headers in sent] == ["hit", "changed"]
    assert sent[0] == ("200 OK", {**sent[1][1], "X-Cache": "hit"})
    assert (sent[0][1]["Content-Length"], sent[0][1]["X-Request-ID"], answer.status_code) == ("2", "r1", 200)
