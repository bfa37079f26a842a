"""Pictures by address: `https://…`, `s3://bucket/key`, `gs://bucket/object`. Nothing is fetched that an operator did not allow.

A client chooses the address, so fetching it is lending the client our place in the network. Hence: allow-listed hosts and buckets, https
only, no redirect, and every address of a name must be public, by any spelling; the address that was looked at is the one connected to.
Source: https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3

from gateway.errors import InvalidParameter
from providers.bulkhead import Attempt, Bulkhead
from providers.errors import ProviderError
from providers.images import ImageTooLarge
from providers.once import Once
from providers.transport import AnnouncedHTTPSPool, AnswerTooLarge, connection_pools, read_answer, send_by

FETCHES_MAX = 32
"""At once in one process."""

_HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "vision-gateway"}
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
_SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "3fff::/20", "5f00::/16")))
"""Not for the public (https://www.iana.org/assignments/iana-ipv4-special-registry and …-ipv6-…), whatever Python's own tables say."""

_SCHEMES = ("s3://", "gs://")


class UriError(InvalidParameter):
    """A picture can't be had from its address. The message says why, and what to do."""

    def __init__(self, detail: str) -> None:
        super().__init__("image.uri", detail)


class UriNotAllowed(UriError):
    """Not an address that may be fetched here: nothing was connected to."""


class UriUnreachable(UriError):
    """Allowed, and no picture came: no connection, no such file, a redirect, too slow."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """Attributes:
    content: the bytes.
    reference: where a cloud of its own can read these very bytes, or None.
    """

    content: bytes
    reference: str | None


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, in itself and in whatever it carries inside (mapped, 6to4, Teredo, NAT64)."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if any(ip in network for network in _SPECIAL):
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast
    carried = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in _NAT64:
        carried.append(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF))
    inside = [address for address in carried if address is not None]
    if inside:
        return all(is_public(str(address)) for address in inside)
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_site_local)


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name.

    Raises:
        OSError: it has none.
    """
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _google_credentials() -> Any:
    import google.auth  # noqa: PLC0415 -- slow to import, and only for gs://

    return google.auth.default(scopes=[_GOOGLE_SCOPE])[0]


@dataclass(frozen=True)
class World:
    """What lies outside. Tests have one of their own on this machine; no setting reaches in here."""

    resolve: Callable[[str, int], list[str]] = resolve
    may_connect: Callable[[str], bool] = is_public
    ca_file: str | None = None
    storage_url: str = "https://storage.googleapis.com"
    google_credentials: Callable[[], Any] = _google_credentials


class ImageFetcher:
    """Fetches what it may. Shared by all threads of a process; its clients are made on first use, after fork."""

    def __init__(self, hosts: Iterable[str], buckets: Iterable[str], bytes_max: int, world: World | None = None) -> None:
        """Take allow-lists; empty ones allow nothing.

        Args:
            hosts: `images.example.com`, or `images.example.com:8443` for another port than 443.
            buckets: `s3://NAME`, `gs://NAME`, or `NAME` for both.
            bytes_max: of one picture.
            world: for tests.
        """
        self._hosts = frozenset(host.strip().lower() for host in hosts)
        self._buckets = frozenset(bucket.strip() for bucket in buckets)
        self._bytes_max = bytes_max
        self._world = world or World()
        self._fetches = Bulkhead("fetch", FETCHES_MAX)

    def fetch(self, uri: str, timeout_s: float) -> Fetched:
        """The picture at `uri`, within `timeout_s` seconds in all.

        Raises:
            UriNotAllowed: a scheme, host, bucket or address that may not be fetched.
            UriUnreachable: nothing came in time, or no picture.
            ImageTooLarge: more bytes than `bytes_max`.
        """
        read = self._reader(uri)
        try:
            return self._fetches.run(read, timeout_s)
        except AnswerTooLarge as error:
            raise ImageTooLarge(f"The picture at image.uri has more than {self._bytes_max} bytes. Send a smaller one.") from error
        except ProviderError as error:
            cause = error.__cause__
            if isinstance(cause, UriError):
                raise cause from cause.__cause__
            raise UriUnreachable(f"image.uri was not read: {error} Check the address, or send the picture itself.") from error

    def close(self) -> None:
        """Take no more fetches."""
        self._fetches.close()

    def _reader(self, uri: str) -> Callable[[Attempt], Fetched]:
        """How to read `uri`: all that can be refused without a look at the network is refused here."""
        if not uri.isprintable():
            raise UriNotAllowed("image.uri has control characters. Leave them out.")
        if uri.startswith(_SCHEMES):
            bucket, _, key = uri[len("s3://") :].partition("/")
            if not bucket or not key:
                raise UriNotAllowed(f"image.uri names no file. Write {uri[:5]}BUCKET/KEY.")
            if not self._buckets & {bucket, uri[:5] + bucket}:
                raise UriNotAllowed(
                    f"The bucket {bucket!r} may not be read here. An operator can add {uri[:5]}{bucket} to GATEWAY_IMAGE_BUCKETS."
                )
            return self._from_s3(bucket, key) if uri.startswith("s3://") else self._from_google(bucket, key)
        if not uri.lower().startswith("https://"):
            raise UriNotAllowed("image.uri must begin with https://, s3:// or gs://.")
        return self._from_web(uri)

    def _from_web(self, uri: str) -> Callable[[Attempt], Fetched]:
        if not uri.isascii() or " " in uri or "\\" in uri:
            raise UriNotAllowed("image.uri has characters that no https address has. Percent-encode them.")
        try:
            parts = urlsplit(uri)
            host, port = (parts.hostname or "").lower(), parts.port or 443
        except ValueError as error:
            raise UriNotAllowed(f"image.uri is no address: {error}.") from error
        if "@" in parts.netloc:
            raise UriNotAllowed("image.uri carries a user name. Leave it out; credentials are not sent.")
        if (host if port == 443 else f"{host}:{port}") not in self._hosts:
            raise UriNotAllowed(f"{host}:{port} may not be read here. An operator can add it to GATEWAY_IMAGE_HOSTS.")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

        def read(attempt: Attempt) -> Fetched:
            address = self._address(host, port)
            # The connection goes to the address that was looked at; the name is what the certificate and the server are asked for.
            pool = AnnouncedHTTPSPool(address, port, ssl_context=self._tls, server_hostname=host, assert_hostname=host, maxsize=1)
            try:
                return Fetched(self._get(pool, target, _HEADERS | {"Host": host if port == 443 else f"{host}:{port}"}, attempt), None)
            finally:
                pool.close()

        return read

    def _address(self, host: str, port: int) -> str:
        try:
            addresses = self._world.resolve(host, port)
        except OSError as error:
            raise UriUnreachable(f"The host {host} of image.uri is not known: {error}.") from error
        if not addresses or not all(self._world.may_connect(address) for address in addresses):
            raise UriNotAllowed(f"The host {host} of image.uri is not on the public internet. Send the picture itself.")
        return addresses[0]

    def _from_s3(self, bucket: str, key: str) -> Callable[[Attempt], Fetched]:
        name, _, version = key.rpartition("?versionId=") if "?versionId=" in key else (key, "", "")

        def read(attempt: Attempt) -> Fetched:  # noqa: ARG001 -- the client's transport has it
            from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 -- slow to import, and only for s3://

            try:
                found = self._s3.get_object(Bucket=bucket, Key=name, **({"VersionId": version} if version else {}))
            except (ClientError, BotoCoreError) as error:
                raise UriUnreachable(
                    f"S3 does not give s3://{bucket}/{name}: {error}. Check it, and that the gateway's role may read it."
                ) from error
            read_version = found.get("VersionId", "null")
            reference = f"s3://{bucket}/{name}" + (f"?versionId={read_version}" if read_version != "null" else "")
            return Fetched(found["Body"].read(), reference)

        return read

    def _from_google(self, bucket: str, key: str) -> Callable[[Attempt], Fetched]:
        target = f"{self._world.storage_url}/storage/v1/b/{quote(bucket, safe='')}/o/{quote(key, safe='')}?alt=media"

        def read(attempt: Attempt) -> Fetched:
            from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 -- slow to import, and only for gs://

            try:
                return Fetched(self._get(self._google, target, _HEADERS, attempt), f"gs://{bucket}/{key}")
            except GoogleAuthError as error:
                raise UriUnreachable(f"gs:// needs Google credentials, and there are none that work here: {error}.") from error

        return read

    def _get(self, http: Any, target: str, headers: dict[str, str], attempt: Attempt) -> bytes:
        """One GET, no redirect followed."""
        timeout = urllib3.Timeout(connect=attempt.left_s, read=attempt.left_s)
        try:
            attempt.connecting()
            answer = http.urlopen(
                "GET", target, headers=headers, timeout=timeout, retries=False, redirect=False, preload_content=False, decode_content=False
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UriUnreachable(f"No connection to the host of image.uri: {error}.") from error
        if answer.status != 200:
            answer.close()
            hint = " Give the address it leads to." if 300 <= answer.status < 400 else ""
            raise UriUnreachable(f"The host of image.uri answers {answer.status}.{hint}")
        if int(answer.headers.get("Content-Length", "0").strip() or 0) > self._bytes_max:
            answer.close()
            raise AnswerTooLarge("The host says so.")
        return read_answer(answer, self._bytes_max)

    @Once
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._world.ca_file)

    @Once
    def _s3(self) -> Any:
        import boto3  # noqa: PLC0415 -- slow to import, and only for s3://
        from botocore.config import Config  # noqa: PLC0415

        once = Config(retries={"mode": "standard", "total_max_attempts": 1}, response_checksum_validation="when_required")
        client = boto3.Session().client("s3", config=once)
        pools = connection_pools(client.meta.endpoint_url, FETCHES_MAX, self._world.ca_file)
        client.meta.events.register_last("before-send.s3", send_by(pools, self._bytes_max))
        return client

    @Once
    def _google(self) -> Any:
        from google.auth.transport.urllib3 import AuthorizedHttp  # noqa: PLC0415 -- slow to import, and only for gs://

        pools = connection_pools(self._world.storage_url, FETCHES_MAX, self._world.ca_file)
        return AuthorizedHttp(self._world.google_credentials(), http=pools)  # type: ignore[no-untyped-call]
