"""Against real sockets: what a connection tells of itself, and that a kept one is never broken for another's time."""

import datetime as dt
import socket
import ssl
import threading

import pytest
from botocore.awsrequest import AWSRequest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from providers.bulkhead import Bulkhead
from providers.errors import ProviderProtocolError, ProviderUnreachable
from providers.transport import connection_pools, send_by
from tests.clouds import web
from tests.clouds.behaviour import Behaviour, Conduct
from tests.clouds.bill import Bill


class Echo(web.Handler):
    def serve(self, body: bytes) -> None:
        self.server.stand_in.append(self.client_address)
        self.send(200, body, "text/plain")


@pytest.fixture
def clients():
    return []


@pytest.fixture
def server(clients):
    made = web.Server(0, Echo, clients, Conduct(Behaviour()), Bill("echo", None))
    yield made
    made.stop()


@pytest.fixture
def bulkhead():
    made = Bulkhead("echo", 4)
    yield made
    made.close()


def _post(url: str, body: bytes = b"hello"):
    return AWSRequest("POST", url, data=body).prepare()


def test_connections_are_kept(server, bulkhead, clients):
    send = send_by(connection_pools(server.url, 4, None), 1_000)
    for _ in range(5):
        assert bulkhead.run(lambda _: send(_post(server.url)).content, 5) == b"hello"
    assert len(set(clients)) == 1


def test_an_answer_may_not_be_larger_than_allowed(server, bulkhead):
    send = send_by(connection_pools(server.url, 4, None), 1_000)
    assert bulkhead.run(lambda _: send(_post(server.url, b"x" * 1_000)).content, 5) == b"x" * 1_000
    with pytest.raises(ProviderProtocolError):
        bulkhead.run(lambda _: send(_post(server.url, b"x" * 1_001)), 5)


def test_one_that_is_used_by_another_attempt_is_not_broken(server, bulkhead):
    """The first attempt's thread is still at work when its time is over; its connection serves the second by then."""
    send = send_by(connection_pools(server.url, 1, None), 1_000)
    answered, go_on = threading.Event(), threading.Event()

    def slow_to_parse(_: object) -> bytes:
        content = send(_post(server.url)).content
        answered.set()
        go_on.wait(5)
        return content

    def first() -> None:
        with pytest.raises(Exception, match="time limit"):
            bulkhead.run(slow_to_parse, 0.2)
        given_up.set()

    given_up = threading.Event()
    caller = threading.Thread(target=first)
    caller.start()
    answered.wait()

    def second(_: object) -> bytes:
        assert send(_post(server.url)).content == b"hello"
        given_up.wait()  # the first is broken off now
        return send(_post(server.url)).content

    assert bulkhead.run(second, 5) == b"hello"
    go_on.set()
    caller.join()


def _certificate(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def secure(tmp_path):
    """An echo over TLS: its address, and the file that vouches for it."""
    path = _certificate(tmp_path)
    made = web.Server(0, Echo, [], Conduct(Behaviour()), Bill("echo", None))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    made.socket = context.wrap_socket(made.socket, server_side=True)
    yield f"https://localhost:{made.server_address[1]}", str(path)
    made.stop()


def test_tls_is_spoken_with_whom_the_ca_bundle_vouches_for(secure, bulkhead):
    url, ca_bundle = secure
    send = send_by(connection_pools(url, 4, ca_bundle), 1_000)
    assert bulkhead.run(lambda _: send(_post(url)).content, 5) == b"hello"


def test_a_certificate_that_nobody_vouches_for_was_sent_nothing(secure, bulkhead):
    url, _ = secure
    send = send_by(connection_pools(url, 4, None), 1_000)
    with pytest.raises(ProviderUnreachable) as caught:
        bulkhead.run(lambda _: send(_post(url)), 5)
    assert not caught.value.maybe_billed


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid", "https://127.0.0.1:1"])
def test_a_connection_that_was_never_made_was_sent_nothing(url, bulkhead):
    send = send_by(connection_pools(url, 4, None), 1_000)
    with pytest.raises(ProviderUnreachable):
        bulkhead.run(lambda _: send(_post(url)), 10)


def test_a_host_that_does_not_shake_hands_was_sent_nothing(bulkhead):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        send = send_by(connection_pools(url, 4, None), 1_000)
        with pytest.raises(ProviderUnreachable):
            bulkhead.run(lambda _: send(_post(url)), 0.3)


def test_a_proxy_of_the_environment_is_used(server, bulkhead, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    send = send_by(connection_pools("http://rekognition.example", 4, None), 1_000)
    assert bulkhead.run(lambda _: send(_post("http://rekognition.example/")).content, 5) == b"hello"
