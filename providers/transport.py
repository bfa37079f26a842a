"""HTTP for botocore's clients, so that a call ends when its time is over and says whether anything was sent.

botocore's own timeout counts from one byte to the next: an answer that dribbles never ends. It also can't tell a connection that
was never made from one that broke. botocore asks whoever is registered for `before-send` for the response before it sends by itself.

Source: https://botocore.amazonaws.com/v1/documentation/api/latest/topics/events.html
"""

import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import urllib3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection

from providers.bulkhead import Attempt, current_attempt
from providers.deadline_sockets import IDLE_S_MAX
from providers.errors import ProviderError, ProviderFailed, ProviderProtocolError, ProviderTimeout, ProviderUnreachable

_CHUNK_BYTES = 65_536


class AnswerTooLarge(ProviderProtocolError):
    """More bytes than are read."""


class _Body(io.BytesIO):
    """A body that was read already, in the shape that botocore reads."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


_owners = threading.Lock()
"""Held while a connection changes hands, and while it is broken: a kept connection may already serve the next attempt."""


class _Announced(HTTPConnection):
    """A connection that tells the current attempt before it sends, and that can be broken by another thread."""

    _owner: Attempt | None = None
    _used_at = 0.0

    @property
    def is_connected(self) -> bool:
        """As urllib3's; but a connection that rested long is opened anew: the other side may be about to close it."""
        return super().is_connected and time.monotonic() - self._used_at < IDLE_S_MAX

    def request(self, *args: Any, **kwargs: Any) -> None:
        """As urllib3's; but connects first, so that what fails until then is known not to have been sent."""
        if self.is_closed:
            self.connect()
        attempt = current_attempt()
        with _owners:
            self._owner = attempt
            self._used_at = time.monotonic()
        attempt.sending(partial(self._break_for, attempt))
        super().request(*args, **kwargs)

    def _break_for(self, attempt: Attempt) -> None:
        with _owners:
            connected = self.sock
            if self._owner is not attempt or connected is None:
                return
            try:  # on a TLS socket too the plain shutdown: its own would touch what the reading thread uses
                socket.socket.shutdown(connected, socket.SHUT_RDWR)
            except OSError:
                return  # it has ended by itself


class AnnouncedHTTP(_Announced):
    """Without TLS."""


class AnnouncedHTTPS(_Announced, HTTPSConnection):
    """With TLS."""


class AnnouncedHTTPPool(urllib3.HTTPConnectionPool):
    """A pool of them."""

    ConnectionCls = AnnouncedHTTP


class AnnouncedHTTPSPool(urllib3.HTTPSConnectionPool):
    """A pool of them."""

    ConnectionCls = AnnouncedHTTPS


def connection_pools(endpoint_url: str, size: int, ca_bundle: str | None) -> urllib3.PoolManager:
    """Pools of kept connections to `endpoint_url`, through the proxy that the environment names for it, if any."""
    options: dict[str, Any] = {"maxsize": size, "ssl_context": ssl.create_default_context(cafile=ca_bundle or get_cert_path(verify=True))}
    proxy = get_environ_proxies(endpoint_url).get(endpoint_url.partition(":")[0])
    pools = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
    pools.pool_classes_by_scheme = {"http": AnnouncedHTTPPool, "https": AnnouncedHTTPSPool}
    return pools


def send_by(pools: urllib3.PoolManager, answer_bytes_max: int) -> Callable[..., AWSResponse]:
    """A handler for botocore's `before-send` that makes one request, once, for the current attempt.

    The handler raises:
        ProviderUnreachable: nothing was sent.
        ProviderTimeout: sent, and the time was over.
        ProviderProtocolError: a good status, and a body that is cut short or larger than `answer_bytes_max`.
        ProviderFailed: any other end of the connection.
    """

    def send(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        attempt = current_attempt()
        attempt.connecting()
        timeout = urllib3.Timeout(connect=attempt.left_s, read=attempt.left_s)
        headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
        try:
            response = pools.urlopen(
                request.method,
                request.url,
                body=request.body,
                headers=headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _broken(attempt, error) from error
        return AWSResponse(request.url, response.status, response.headers, _Body(read_answer(response, answer_bytes_max)))

    return send


def _broken(attempt: Attempt, error: Exception) -> ProviderError:
    if not attempt.sent:
        return ProviderUnreachable(f"No connection: {error}")
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return ProviderTimeout("No answer within the time limit.")
    return ProviderFailed(f"The connection broke: {error}")


def read_answer(response: urllib3.BaseHTTPResponse, bytes_max: int) -> bytes:
    """The body, as it is encoded, counted while it comes.

    Raises:
        AnswerTooLarge: more than `bytes_max` bytes.
        ProviderTimeout: no byte came for as long as the connection's timeout.
        ProviderProtocolError, ProviderFailed: cut short, of an answer of a good or another status.
    """
    content = bytearray()
    try:
        for chunk in response.stream(_CHUNK_BYTES, decode_content=False):
            content += chunk
            if len(content) > bytes_max:
                response.close()
                raise AnswerTooLarge(f"The answer is larger than {bytes_max} bytes.")
    except urllib3.exceptions.TimeoutError as error:
        raise ProviderTimeout("The answer did not end within the time limit.") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        broken = ProviderProtocolError if response.status < 300 else ProviderFailed
        raise broken(f"The answer (HTTP {response.status}) was cut short: {error}") from error
    response.release_conn()
    return bytes(content)
