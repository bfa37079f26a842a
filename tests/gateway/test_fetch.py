"""Against loopback servers; the world outside is one of the tests' own, where this machine counts as public if a test says so."""

import datetime as dt
import ssl
import time

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.auth.credentials import AnonymousCredentials
from moto.server import ThreadedMotoServer

from gateway.fetch import ImageFetcher, UriNotAllowed, UriUnreachable, World, is_public
from providers.images import ImageTooLarge
from tests.clouds import web
from tests.clouds.behaviour import Behaviour, Conduct
from tests.clouds.bill import Bill

PICTURE = b"\xff\xd8\xff not really a picture"
BYTES_MAX = 100_000


class Site(web.Handler):
    """`stand_in` collects (path, Host) of all requests."""

    def do_GET(self) -> None:
        self.server.stand_in.append((self.path, self.headers["Host"]))
        path = self.path.partition("?")[0]
        if path == "/moved":
            self.send(302, b"", "text/html", {"Location": "https://images.example/photo.jpg"})
        elif path == "/missing":
            self.send(404, b"", "text/html")
        elif path == "/large":
            self.send(200, b"x" * (BYTES_MAX + 1), "image/jpeg")
        elif path == "/endless":
            self._endless(b"4000\r\n" + b"x" * 0x4000 + b"\r\n", 0)
        elif path == "/trickle":
            self._endless(b"1\r\nx\r\n", 0.02)
        elif path in {"/hang", "/dribble_head", "/truncated", "/reset"}:
            self.misbehave(path[1:], PICTURE, "image/jpeg")
        else:
            self.send(200, PICTURE, "image/jpeg")

    def _endless(self, chunk: bytes, pause_s: float) -> None:
        """Without saying before how much it will be."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while not self.server.conduct.stopped.is_set():
                self.wfile.write(chunk)
                time.sleep(pause_s)
        except OSError:
            self.close_connection = True


@pytest.fixture(scope="module")
def vouched(tmp_path_factory):
    """A certificate of images.example for whom trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "images.example")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
    certificate = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("images.example")]), critical=False).sign(
        key, hashes.SHA256()
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def site(vouched):
    made = web.Server(0, Site, [], Conduct(Behaviour()), Bill("site", None))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(vouched)
    made.socket = context.wrap_socket(made.socket, server_side=True)
    yield made
    made.stop()


def world(vouched, **changes) -> World:
    return World(
        **{"resolve": lambda *_: ["127.0.0.1"], "may_connect": lambda address: address == "127.0.0.1", "ca_file": str(vouched)} | changes
    )


@pytest.fixture
def fetcher(site, vouched):
    port = site.server_address[1]
    made = ImageFetcher([f"images.example:{port}", f"other.example:{port}"], [], BYTES_MAX, world(vouched))
    yield made
    made.close()


@pytest.fixture
def base(site):
    return f"https://images.example:{site.server_address[1]}"


def test_an_allowed_picture_is_fetched_by_its_name_at_the_address_that_was_looked_at(site, fetcher, base):
    fetched = fetcher.fetch(base + "/photo.jpg?size=large#top", 5)
    assert (fetched.content, fetched.reference) == (PICTURE, None)
    assert site.stand_in == [("/photo.jpg?size=large", base.removeprefix("https://"))]


def test_the_name_is_looked_up_once(vouched, site, base):
    """A name that has another address when it is asked again leads nowhere else."""
    looked_up = []

    def rebinding(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["169.254.169.254"]

    fetcher = ImageFetcher([base.removeprefix("https://")], [], BYTES_MAX, world(vouched, resolve=rebinding))
    assert fetcher.fetch(base + "/photo.jpg", 5).content == PICTURE
    assert looked_up == ["images.example"]
    fetcher.close()


def test_one_private_address_among_public_ones_is_enough(vouched, site, base):
    fetcher = ImageFetcher([base.removeprefix("https://")], [], BYTES_MAX, world(vouched, resolve=lambda *_: ["127.0.0.1", "10.0.0.1"]))
    with pytest.raises(UriNotAllowed):
        fetcher.fetch(base + "/photo.jpg", 5)
    assert not site.stand_in
    fetcher.close()


def test_a_certificate_of_another_name_is_not_taken(site, fetcher, base):
    with pytest.raises(UriUnreachable):
        fetcher.fetch(base.replace("images", "other") + "/photo.jpg", 5)
    assert not site.stand_in


@pytest.mark.parametrize("path", ["/moved", "/missing", "/truncated", "/reset"])
def test_what_is_no_picture_is_not_followed_or_taken(site, fetcher, base, path):
    with pytest.raises(UriUnreachable) as caught:
        fetcher.fetch(base + path, 5)
    assert len(site.stand_in) == 1
    assert path != "/moved" or "leads to" in str(caught.value)


@pytest.mark.parametrize("path", ["/large", "/endless"])
def test_too_many_bytes_are_not_read(fetcher, base, path):
    with pytest.raises(ImageTooLarge):
        fetcher.fetch(base + path, 5)


@pytest.mark.parametrize("path", ["/hang", "/trickle", "/dribble_head"])
def test_too_slow_is_unreachable(fetcher, base, path):
    with pytest.raises(UriUnreachable, match="time limit"):
        fetcher.fetch(base + path, 0.3)


def test_a_slow_name_server_takes_no_longer_than_allowed(vouched, base):
    fetcher = ImageFetcher(
        [base.removeprefix("https://")], [], BYTES_MAX, world(vouched, resolve=lambda *_: time.sleep(0.5) or ["127.0.0.1"])
    )
    with pytest.raises(UriUnreachable):
        fetcher.fetch(base + "/photo.jpg", 0.1)
    fetcher.close()


def test_an_unknown_name_is_unreachable():
    fetcher = ImageFetcher(["no-such-host.invalid"], [], BYTES_MAX)
    with pytest.raises(UriUnreachable, match="not known"):
        fetcher.fetch("https://no-such-host.invalid/x", 10)
    fetcher.close()


@pytest.mark.parametrize(
    "uri",
    [
        "https://images.example/photo.jpg",  # another port than the allowed one
        "http://images.example/photo.jpg",
        "ftp://images.example/photo.jpg",
        "file:///etc/passwd",
        "gopher://images.example/",
        "data:image/png;base64,AAAA",
        "//images.example/photo.jpg",
        "images.example/photo.jpg",
        "",
        "https://",
        "https:///photo.jpg",
        "https://169.254.169.254/latest/meta-data/",
        "https://2852039166/latest/meta-data/",
        "https://0xA9FEA9FE/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://localhost/",
        "https://evil.example/photo.jpg",
        "https://evil.example#@{allowed}/photo.jpg",
        "https://evil.example?@{allowed}/photo.jpg",
        "https://evil.example\\@{allowed}/photo.jpg",
        "https://user@{allowed}/photo.jpg",
        "https://user:secret@{allowed}/photo.jpg",
        "https://@{allowed}/photo.jpg",
        "https://{allowed}.evil.example/photo.jpg",
        "https://{allowed}@evil.example/photo.jpg",
        "https://{allowed}%00.evil.example/",
        "https://{allowed}:99999/photo.jpg",
        "https://{allowed}/\r\nHost: evil.example",
        "https://{allowed}/a b",
        "https://{allowed}/\u0000",
        "https://\u24d4vil.example/",
        "s3://bucket/key.jpg",
        "gs://bucket/key.jpg",
        "s3://allowed",
        "s3:///key",
        "S3://allowed/key",
        "s3://Allowed/key",
        "gs://only-s3/key",
    ],
)
def test_what_is_not_allowed_is_not_looked_up(site, vouched, uri):
    looked_up = []
    allowed = f"images.example:{site.server_address[1]}"
    fetcher = ImageFetcher(
        [allowed], ["allowed", "s3://only-s3"], BYTES_MAX, world(vouched, resolve=lambda host, _: looked_up.append(host) or [])
    )
    with pytest.raises(UriNotAllowed):
        fetcher.fetch(uri.replace("{allowed}", allowed), 5)
    assert not looked_up
    assert not site.stand_in
    fetcher.close()


def test_without_lists_nothing_is_allowed():
    fetcher = ImageFetcher([], [], BYTES_MAX)
    for uri in ("https://images.example/x.jpg", "s3://bucket/x.jpg", "gs://bucket/x.jpg"):
        with pytest.raises(UriNotAllowed):
            fetcher.fetch(uri, 5)
    fetcher.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0"])
def test_an_allowed_host_that_is_this_machine_is_not_connected_to(host):
    """With the real world's resolver and rule."""
    fetcher = ImageFetcher([host.strip("[]")], [], BYTES_MAX)
    with pytest.raises(UriNotAllowed, match="public internet"):
        fetcher.fetch(f"https://{host}/x.jpg", 5)
    fetcher.close()


NOT_PUBLIC = """
127.0.0.1 127.255.255.254 0.0.0.0 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 100.100.100.200 192.0.0.192 192.88.99.1
198.18.0.1 192.0.2.1 203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
:: ::1 fe80::1 fe80::1%eth0 fc00::1 fd00:ec2::254 fec0::1 ff02::1 2001:db8::1 100::1 3fff::1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::10.0.0.1 64:ff9b:1::1 2002:7f00:1:: 2002:a9fe:a9fe::1 2001:0:7f00:1::
"""


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_addresses_that_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]
)
def test_addresses_that_are_public(address):
    assert is_public(address)


@pytest.fixture(scope="module")
def storage():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(storage, monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL_S3": storage,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    for bucket in ("plain", "versioned", "secret"):
        client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    return client


@pytest.fixture
def bucket_fetcher(s3):
    made = ImageFetcher([], ["s3://plain", "versioned"], BYTES_MAX)
    yield made
    made.close()


def test_a_picture_in_s3_is_fetched_and_may_be_referred_to(s3, bucket_fetcher):
    s3.put_object(Bucket="plain", Key="2026/am Meer/ä.jpg", Body=PICTURE)
    fetched = bucket_fetcher.fetch("s3://plain/2026/am Meer/ä.jpg", 10)
    assert (fetched.content, fetched.reference) == (PICTURE, "s3://plain/2026/am Meer/ä.jpg")


def test_the_version_that_was_read_is_the_one_referred_to(s3, bucket_fetcher):
    first = s3.put_object(Bucket="versioned", Key="x.jpg", Body=PICTURE)["VersionId"]
    assert bucket_fetcher.fetch("s3://versioned/x.jpg", 10).reference == f"s3://versioned/x.jpg?versionId={first}"
    s3.put_object(Bucket="versioned", Key="x.jpg", Body=b"another")
    assert bucket_fetcher.fetch(f"s3://versioned/x.jpg?versionId={first}", 10).content == PICTURE


def test_limits_hold_for_buckets_too(s3, bucket_fetcher):
    s3.put_object(Bucket="plain", Key="large.jpg", Body=b"x" * (BYTES_MAX + 1))
    s3.put_object(Bucket="secret", Key="x.jpg", Body=PICTURE)
    with pytest.raises(ImageTooLarge):
        bucket_fetcher.fetch("s3://plain/large.jpg", 10)
    with pytest.raises(UriUnreachable, match="NoSuchKey"):
        bucket_fetcher.fetch("s3://plain/none.jpg", 10)
    with pytest.raises(UriNotAllowed, match="GATEWAY_IMAGE_BUCKETS"):
        bucket_fetcher.fetch("s3://secret/x.jpg", 10)


def test_a_picture_in_google_storage_is_fetched_and_may_be_referred_to(vouched):
    storage = web.Server(0, Site, [], Conduct(Behaviour()), Bill("site", None))
    google = world(vouched, storage_url=storage.url, google_credentials=AnonymousCredentials)
    fetcher = ImageFetcher([], ["gs://plain"], BYTES_MAX, google)
    fetched = fetcher.fetch("gs://plain/2026/beach.jpg", 5)
    assert (fetched.content, fetched.reference) == (PICTURE, "gs://plain/2026/beach.jpg")
    assert storage.stand_in[0][0] == "/storage/v1/b/plain/o/2026%2Fbeach.jpg?alt=media"
    fetcher.close()
    storage.stop()


def test_without_google_credentials_nothing_is_sent(vouched, monkeypatch, tmp_path):
    for name in ("HOME", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    fetcher = ImageFetcher([], ["gs://plain"], BYTES_MAX)
    with pytest.raises(UriUnreachable, match="credentials"):
        fetcher.fetch("gs://plain/x.jpg", 10)
    fetcher.close()
