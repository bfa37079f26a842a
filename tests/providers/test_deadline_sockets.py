"""TLS here; Unix sockets and TCP are in test_open_inference.py, where the client of these sockets is tested."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from urllib3.exceptions import HTTPError

from providers.deadline_sockets import pool_for, until


@pytest.fixture
def tls(tmp_path, monkeypatch):
    """A certificate for 127.0.0.1 that this process trusts, as a server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "both.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def served(context, reply, pause_s):
    """An address that answers one TLS connection with `reply`, byte by byte."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        try:
            connection, _ = listener.accept()
            with listener, context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(65_536)
                for byte in reply:
                    secure.sendall(bytes([byte]))
                    time.sleep(pause_s)
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    return f"https://127.0.0.1:{listener.getsockname()[1]}"


REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n" + b"x" * 60


def test_an_answer_over_tls_arrives(tls):
    pool = pool_for(served(tls, REPLY, 0), 1)
    with until(time.monotonic() + 10):
        assert pool.request("GET", "/", retries=False, timeout=10).data == b"x" * 60
    pool.close()


def test_an_answer_that_dribbles_over_tls_is_cut_at_the_deadline(tls):
    pool = pool_for(served(tls, REPLY, 0.05), 1)
    began = time.monotonic()
    with pytest.raises(HTTPError), until(began + 0.4):
        pool.request("GET", "/", retries=False, timeout=0.4)
    assert time.monotonic() - began < 2
    pool.close()
