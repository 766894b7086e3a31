"""One attempt at a delivery: signed, posted to an address that was checked, and judged by its answer.

The host is resolved once, and the connection goes to what was checked: a name that resolves to something
else a moment later gains nothing. httpcore2 follows no redirects, asks no proxies and unpacks nothing.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Final

from httpcore2 import (
    SOCKET_OPTION,
    URL,
    AnyIOBackend,
    AsyncConnectionPool,
    AsyncNetworkBackend,
    AsyncNetworkStream,
    ConnectError,
    NetworkError,
    ProtocolError,
    Response,
)
from standardwebhooks import Webhook as Signer

from core.errors import InvalidRequest
from core.targets import AllowedHosts, Target, check_address, parse_target
from core.version import __version__
from core.webhooks.deliveries import Claimed, Outcome

#: From the first question to the name server to the last byte that is read.
TIMEOUT_SECONDS: Final = 10.0
_MOST_READ = 1024

#: The addresses of a host, in the order in which to try them.
Resolve = Callable[[str, int], Awaitable[list[str]]]


async def system_resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def post(
    claimed: Claimed, allowed: AllowedHosts, tls: ssl.SSLContext, resolve: Resolve = system_resolve
) -> Outcome:
    """Send a delivery once."""
    answered: Outcome | None = None
    try:
        target = parse_target(claimed.url, allowed)
        backend = _Checked(allowed, resolve)
        async with (
            asyncio.timeout(TIMEOUT_SECONDS),
            AsyncConnectionPool(ssl_context=tls, max_connections=1, network_backend=backend) as pool,
            pool.stream(
                "POST",
                URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path),
                headers=_headers(claimed, target),
                content=claimed.body.encode(),
            ) as response,
        ):
            answered = _judged(response)
            await _read_a_little(response)
    except InvalidRequest as error:
        return Outcome(error=error.detail)
    except TimeoutError:
        return answered or Outcome(error=f"no answer within {TIMEOUT_SECONDS:g} s")
    except socket.gaierror:
        return Outcome(error="its host name does not resolve")
    except ConnectError as error:
        return Outcome(error=f"no connection: {error}"[:200])
    except (NetworkError, ProtocolError, OSError) as error:
        return answered or Outcome(error=f"no answer: {type(error).__name__}: {error}"[:200])
    return answered


class _Checked(AsyncNetworkBackend):
    """Connects to the checked addresses of a name. TLS still goes by the name."""

    def __init__(self, allowed: AllowedHosts, resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        addresses = await self._resolve(host, port)
        for address in addresses:
            check_address(host, ip_address(address.partition("%")[0]), self._allowed)
        failed = ConnectError("its host name has no address")
        for address in addresses:
            try:
                return await AnyIOBackend().connect_tcp(address, port, timeout, local_address, socket_options)
            except ConnectError as error:
                failed = error
        raise failed


def _headers(claimed: Claimed, target: Target) -> dict[str | bytes, str | bytes]:
    now = datetime.now(UTC)
    signatures = [Signer(secret).sign(claimed.delivery_id, now, claimed.body) for secret in claimed.secrets]
    return {
        "Host": target.authority,
        "User-Agent": f"condensery/{__version__}",
        "Content-Type": "application/json",
        "Content-Length": str(len(claimed.body.encode())),
        "webhook-id": claimed.delivery_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _judged(response: Response) -> Outcome:
    status = response.status
    if 200 <= status < 300:
        return Outcome(status=status)
    said = f"its target answered {status}"
    if 300 <= status < 400:
        said += ": redirects are not followed; give the webhook the new address"
    header = next((value for name, value in response.headers if name.lower() == b"retry-after"), None)
    return Outcome(status=status, error=said, retry_after=_seconds(header))


def _seconds(retry_after: bytes | None) -> float | None:
    """Of a Retry-After header: a number of seconds, or a date. None if it is neither."""
    text = (retry_after or b"").decode("latin-1").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None


async def _read_a_little(response: Response) -> None:
    """So that an ordinary answer is not cut off, which many servers would log; it is not kept."""
    read = 0
    async for part in response.aiter_stream():
        read += len(part)
        if read >= _MOST_READ:
            return
