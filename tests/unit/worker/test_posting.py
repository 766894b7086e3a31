"""One attempt at a delivery, against real servers on 127.0.0.1."""

import asyncio
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from standardwebhooks import WebhookVerificationError

from core.targets import AllowedHosts
from core.webhooks.deliveries import Claimed, Outcome
from tests.support.receiver import Receiver, receiver
from worker import posting
from worker.posting import Resolve, post, system_resolve

SECRET = "whsec_" + "c2VjcmV0" * 4
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "webhooks.md"
LOCAL = AllowedHosts.of(["127.0.0.0/8"])
DELIVERY = Claimed(
    delivery_id="dlv_1", webhook_id="wh_1", owner="me", attempt=1, url="", body='{"type":"job.failed"}',
    secrets=(SECRET,),
)  # fmt: skip


def attempt(
    url: str,
    allowed: AllowedHosts = LOCAL,
    resolve: Resolve = system_resolve,
    tls: ssl.SSLContext | None = None,
    **values: Any,
) -> Outcome:
    context = tls or ssl.create_default_context()
    return asyncio.run(post(replace(DELIVERY, url=url, **values), allowed, context, resolve))


def always(*addresses: str) -> Resolve:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


@pytest.fixture
def target() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def test_what_is_sent(target: Receiver) -> None:
    assert attempt(target.url) == Outcome(status=204)
    (one,) = target.received
    assert one.path == "/hook?x=1"
    assert one.body == DELIVERY.body.encode()
    assert one.headers["host"] == f"127.0.0.1:{target.port}"
    assert one.headers["content-type"] == "application/json"
    assert one.id == "dlv_1"
    assert abs(int(one.headers["webhook-timestamp"]) - time.time()) < 30
    assert one.verified(SECRET) == {"type": "job.failed"}
    with pytest.raises(WebhookVerificationError):
        one.verified("whsec_" + "b3RoZXIh" * 4)
    one.body += b" "
    with pytest.raises(WebhookVerificationError):
        one.verified(SECRET)


def test_the_example_of_the_documentation_receives_it(
    target: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    attempt(target.url, body='{"type":"job.failed","data":{"id":"job_1"}}')
    (one,) = target.received
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    for _ in range(2):  # the second is a repetition
        names["receive"](SECRET, one.headers, one.body)
    assert capsys.readouterr().out == "job.failed job_1\n"
    with pytest.raises(WebhookVerificationError):
        names["receive"]("whsec_" + "b3RoZXIh" * 4, one.headers, one.body)


def test_both_secrets_sign_after_a_rotation(target: Receiver) -> None:
    new = "whsec_" + "bmV3ZXIh" * 4
    attempt(target.url, secrets=(new, SECRET))
    (one,) = target.received
    assert one.verified(new) == one.verified(SECRET)


def test_redirects_are_not_followed(target: Receiver) -> None:
    for status in (301, 302, 303, 307, 308):
        with receiver(lambda n, received: (status, {"Location": target.url})) as redirecting:  # noqa: B023
            outcome = attempt(redirecting.url)
        assert outcome.status == status
        assert "redirects are not followed" in (outcome.error or "")
    assert target.received == []


def test_retry_after(target: Receiver) -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    for header, low, high in (("120", 120, 120), (in_an_hour, 3500, 3600)):
        target.answers = lambda n, received: (503, {"Retry-After": header})  # noqa: B023
        outcome = attempt(target.url)
        assert outcome.error == "its target answered 503"
        assert low <= (outcome.retry_after or 0) <= high
    for nonsense in ("soon", "", "-5", "1e9", "²"):
        target.answers = lambda n, received: (503, {"Retry-After": nonsense})  # noqa: B023
        assert attempt(target.url).retry_after is None


def test_a_name_goes_to_the_address_that_was_checked(target: Receiver) -> None:
    """A name that resolves to something else the second time is never asked a second time."""
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])

    async def rebinding(host: str, port: int) -> list[str]:
        return next(answers)

    url = f"http://rebinding.example:{target.port}/x"
    assert attempt(url, AllowedHosts.of(["rebinding.example"]), rebinding).status == 204
    assert next(answers) == ["169.254.169.254"]
    assert target.received[0].headers["host"] == f"rebinding.example:{target.port}"


def test_a_name_that_leads_inside_is_refused(target: Receiver) -> None:
    url = f"https://inside.example:{target.port}/x"
    for addresses in (
        ["127.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["fe80::1%lo"], ["0.0.0.0"],
    ):  # fmt: skip
        outcome = attempt(url, AllowedHosts(), always(*addresses))
        assert "not public" in (outcome.error or "")
        assert outcome.status is None
    # As the system's own resolver reads them, which takes every spelling of an address.
    for host in ("2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost"):
        assert "not public" in (attempt(f"https://{host}:{target.port}/", AllowedHosts()).error or "")
    assert target.received == []


def test_tls_goes_by_the_name(target: Receiver) -> None:
    authority = trustme.CA()
    served, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("hooks.example").configure_cert(served)
    authority.configure_trust(trusting)
    named: list[str | None] = []
    served.sni_callback = lambda _socket, name, _context: named.append(name)
    with receiver(tls=served) as secure:
        right, wrong = (f"https://{name}.example:{secure.port}/" for name in ("hooks", "other"))
        assert attempt(right, LOCAL, always("127.0.0.1"), trusting) == Outcome(status=204)
        assert named == ["hooks.example"]
        mismatch = attempt(wrong, LOCAL, always("127.0.0.1"), trusting)
        assert "CERTIFICATE_VERIFY_FAILED" in (mismatch.error or "")
        stranger = attempt(right, LOCAL, always("127.0.0.1"))
        assert "CERTIFICATE_VERIFY_FAILED" in (stranger.error or "")
        assert len(secure.received) == 1


def test_no_proxy_is_asked(target: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert attempt(target.url).status == 204
        assert proxy.received == []


def test_no_connection() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert "no connection" in (attempt(f"http://127.0.0.1:{port}/").error or "")
    outcome = attempt("https://no.such.name.invalid/")
    assert outcome == Outcome(error="its host name does not resolve")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"", Outcome(error="no answer within 0.5 s")),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", Outcome(error="no answer within 0.5 s")),
        # The status has come; a body that never ends cannot take it back, nor be waited for.
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx", Outcome(status=200)),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024,
            Outcome(status=200),
        ),
        (
            b"HTTP/1.1 500 No\r\nContent-Length: 1000\r\n\r\nx",
            Outcome(status=500, error="its target answered 500"),
        ),
    ],
)
def test_slow_targets(sent: bytes, expected: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that an attempt may take is one limit, however the target spreads its bytes."""
    monkeypatch.setattr(posting, "TIMEOUT_SECONDS", 0.5)
    with raw_server(sent, drip=b"x") as port:
        started = time.monotonic()
        assert attempt(f"http://127.0.0.1:{port}/") == expected
        assert time.monotonic() - started < 15, "it drips for 20"


def test_what_is_no_http() -> None:
    with raw_server(b"\x00\x01\x02 hello\r\n\r\n", drip=b"") as port:
        assert "no answer: RemoteProtocolError" in (attempt(f"http://127.0.0.1:{port}/").error or "")


@contextmanager
def raw_server(sent: bytes, drip: bytes) -> Iterator[int]:
    """Sends these bytes to whoever connects, then `drip` again and again until they hang up."""
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.settimeout(0.1)
            connection.sendall(sent)
            for _ in range(200):
                connection.sendall(drip)
                with suppress(TimeoutError):
                    if not connection.recv(65536):
                        return

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    thread.join(10)
    listening.close()
