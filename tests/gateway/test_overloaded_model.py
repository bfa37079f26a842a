"""A model server whose queue is full, and a gateway before it that goes elsewhere."""

import asyncio
import threading

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from local_model.predictor import Predictor
from local_model.server import Asked, Server
from tests.clouds import rekognition
from tests.clouds.pair import A_BUS
from tests.conftest import PHOTOS
from tests.gateway.apps import admin_of, app_of
from tests.processes import free_port

PHOTO = (PHOTOS / "000000000471.jpg").read_bytes()


class Quiet(WSGIRequestHandler):
    def log(self, *_):
        """Nothing."""


def by_threads(model):
    """The model server's answers, one thread a request: its own event loop belongs to a process."""

    @Request.application
    def answer(request):
        async def body():
            return request.get_data()

        headers = {name.lower(): value for name, value in request.headers.items()}
        told = asyncio.run(model.answer(Asked(request.method, request.path, headers, body)))
        return Response(told.content, told.status, told.headers)

    return answer


@pytest.fixture
def full_server():
    """The real model server, with room for nobody."""
    application = Server([Predictor.load], queue_max=0)
    application.models.wait_until_loaded()
    port = free_port()
    server = make_server("127.0.0.1", port, by_threads(application), threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{port}", application
    server.shutdown()
    thread.join()
    server.server_close()
    application.close()


@pytest.fixture
def amazon():
    amazon = rekognition.StandIn()
    amazon.answers["DetectLabels"] = A_BUS
    yield amazon
    amazon.close()


def test_a_full_queue_is_overloaded_and_the_next_provider_answers(full_server, amazon, tmp_path):
    url, model = full_server
    app = app_of(tmp_path, GATEWAY_PROVIDERS="local,rekognition", GATEWAY_LOCAL_MODEL_URL=url, **amazon.environ)
    client = admin_of(app)
    try:
        response = client.post("/v1/detections?strategy=cheapest&cache=off&deadline_ms=30000", data=PHOTO, content_type="image/jpeg")
        assert response.status_code == 200, response.text
        outcomes = [(attempt["provider"], attempt["outcome"]) for attempt in response.json["attempts"]]
        assert outcomes[-1] == ("rekognition", "answered")
        assert set(outcomes[:-1]) == {("local", "overloaded")}
        assert model.models.all()[0].batcher.counts.images == 0
        providers = client.get("/v1/providers").json["providers"]
        assert all(circuit["state"] == "closed" for circuit in providers[0]["circuit"])
    finally:
        app.extensions["gateway"].close()
