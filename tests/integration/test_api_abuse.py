"""Slow and abusive clients of `python -m api`: what they cost is bounded, in time and in memory."""

import json
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.support.api import offer
from tests.support.service import Service

MiB = 1 << 20
HEAD_SECONDS = 1.0
IDLE_SECONDS = 1.5
RATE = 500
#: A deadline is looked at ten times as often as it is long; the machine may be busy besides. The code of the
#: answer says which deadline it was; who is not cut at all is held for a minute.
LATE_SECONDS = 15.0
CONNECTIONS = 60


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An API without a worker, and with short deadlines."""
    running = Service(
        tmp_path_factory.mktemp("api") / "data",
        CONDENSERY_HEAD_SECONDS=str(HEAD_SECONDS),
        CONDENSERY_IDLE_SECONDS=str(IDLE_SECONDS),
        CONDENSERY_MIN_BYTES_PER_SECOND=str(RATE),
        CONDENSERY_MAX_CONNECTIONS=str(CONNECTIONS),
    )
    running.migrate()
    running.start_api()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def artifact(service: Service) -> str:
    """The path of 64 MiB, more than all socket buffers together."""
    return offer(service, bytes(64 * MiB))


@dataclass
class Outcome:
    answer: bytes
    seconds: float
    grown: int

    @property
    def status(self) -> int:
        found = re.match(rb"HTTP/1.1 (\d+) ", self.answer)
        return int(found[1]) if found else 0

    @property
    def code(self) -> str:
        return str(json.loads(self.answer.partition(b"\r\n\r\n")[2])["code"])


def memory(pid: int) -> int:
    """Bytes that are resident now."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def abuse(service: Service, behave: Callable[[socket.socket], None], *, clients: int = 20) -> list[Outcome]:
    """What becomes of `clients` that all do the same, one step of `behave` after another, until they are cut."""  # noqa: E501
    before, started = memory(service.api_pid), time.monotonic()
    peak, outcomes = before, []
    with ExitStack() as stack:
        sockets = [stack.enter_context(connect(service)) for _ in range(clients)]
        answers = dict.fromkeys(sockets, b"")
        opened = set(sockets)
        while opened and time.monotonic() < started + 60:
            for one in list(opened):
                with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                    behave(one)
                ended = False
                try:
                    received = one.recv(65536)
                    answers[one] += received
                    ended = not received
                except BlockingIOError:
                    pass
                except ConnectionResetError:
                    ended = True
                if ended:
                    opened.remove(one)
                    outcomes.append(Outcome(answers[one], time.monotonic() - started, 0))
            peak = max(peak, memory(service.api_pid))
            time.sleep(0.02)
    assert not opened, "never cut"
    for outcome in outcomes:
        outcome.grown = peak - before
    print(f"grown by {(peak - before) / MiB:.1f} MiB, cut after {outcomes[-1].seconds:.1f} s")
    return outcomes


def connect(service: Service, receive_buffer: int | None = None) -> socket.socket:
    one = socket.socket()
    if receive_buffer:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    one.connect(("127.0.0.1", service.port))
    one.setblocking(False)
    return one


def script(*steps: bytes, then: bytes = b"") -> Callable[[socket.socket], None]:
    """Each connection sends the steps, one at a time, and then `then` for ever."""
    position: dict[int, int] = {}

    def behave(one: socket.socket) -> None:
        at = position.setdefault(one.fileno(), 0)
        data = steps[at] if at < len(steps) else then
        if data:
            sent = one.send(data)
            assert at >= len(steps) or sent == len(data)
        position[one.fileno()] = at + 1

    return behave


HOST = b"Host: localhost\r\n"
PUT = b"PUT /v1/uploads HTTP/1.1\r\n" + HOST
JSON = b"POST /v1/jobs HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"

SLOW = {
    "silent": (script(), HEAD_SECONDS, 408, "head_too_slow"),
    "head a byte at a time": (script(b"G", then=b"x"), HEAD_SECONDS, 408, "head_too_slow"),
    "head that stops": (script(b"GET / HTTP/1.1\r\nA: b"), HEAD_SECONDS, 408, "head_too_slow"),
    "second head that stops": (
        script(b"GET / HTTP/1.1\r\n" + HOST + b"\r\nGET"), HEAD_SECONDS + 5, 200, None,
    ),
    "upload a byte at a time": (
        script(PUT + b"Content-Length: 100000\r\n\r\n", then=b"x"), IDLE_SECONDS + 2, 408, "body_too_slow",
    ),
    "JSON a byte at a time": (
        script(JSON + b"Content-Length: 100000\r\n\r\n", then=b"x"), IDLE_SECONDS + 2, 408, "body_too_slow",
    ),
    "JSON that stops": (
        script(JSON + b"Content-Length: 100000\r\n\r\n{"), IDLE_SECONDS + 2, 408, "body_too_slow",
    ),
    "chunks without an end": (
        script(JSON + b"Transfer-Encoding: chunked\r\n\r\n", then=b"1\r\nx\r\n"), IDLE_SECONDS + 2, 408, "body_too_slow",  # noqa: E501
    ),
    "shorter than its Content-Length": (
        script(PUT + b"Content-Length: 5\r\n\r\nab"), IDLE_SECONDS + 2, 408, "body_too_slow",
    ),
    "body that nobody asked for, a byte at a time": (
        script(b"GET /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n", then=b"x"), 2, 200, None,  # noqa: E501
    ),
}  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", SLOW)
def test_slow_client_is_cut(service: Service, name: str) -> None:
    behave, seconds, status, code = SLOW[name]
    for outcome in abuse(service, behave):
        assert outcome.status == status, outcome.answer
        assert code is None or outcome.code == code
        assert outcome.seconds < seconds + LATE_SECONDS
        assert outcome.grown < 8 * MiB


def one_request(service: Service, *parts: bytes) -> Outcome:
    """Sent in one go as far as the server takes it."""
    started, before = time.monotonic(), memory(service.api_pid)
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as one:
        with suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                one.sendall(part)
        answer = b""
        with suppress(ConnectionResetError):
            while data := one.recv(65536):
                answer += data
    return Outcome(answer, time.monotonic() - started, memory(service.api_pid) - before)


def chunked(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


FIELDS = b"".join(
    f'--b\r\nContent-Disposition: form-data; name="f{n}"\r\n\r\nx\r\n'.encode() for n in range(10_000)
)
UNKNOWN = b"{" + b",".join(b'"%d":0' % n for n in range(100_000)) + b"}"
BAD: dict[str, tuple[list[bytes], int, str | None]] = {
    "header of 300 KB": ([b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"x" * 300_000 + b"\r\n\r\n"], 400, "malformed"),  # noqa: E501
    "20,000 headers": ([b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 20_000 + b"\r\n"], 400, "malformed"),
    "address of 300 KB": ([b"GET /" + b"x" * 300_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"], 400, "malformed"),
    "no HTTP": ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"], 400, "malformed"),
    "Content-Length and Transfer-Encoding": (
        [PUT + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"], 400, "malformed",
    ),
    "two Content-Lengths": ([PUT + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"], 400, "malformed"),
    "Content-Length that is no number": ([PUT + b"Content-Length: +3\r\n\r\nabc"], 400, "malformed"),
    "Transfer-Encoding that nobody knows": ([PUT + b"Transfer-Encoding: gzip, chunked\r\n\r\n"], 400, "malformed"),  # noqa: E501
    "chunk size that is no number": (
        [PUT + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n"], 400, "malformed",
    ),
    "10,000 multipart fields": (
        [
            b"POST /v1/jobs HTTP/1.1\r\n" + HOST + b"Connection: close\r\n"
            + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n" % len(FIELDS),
            FIELDS,
        ],
        415, "unsupported_media_type",
    ),
    "JSON without an end, in chunks": (
        [JSON + b"Transfer-Encoding: chunked\r\n\r\n", *[chunked(b" " * MiB)] * 20], 413, "too_large",
    ),
    "100,000 unknown fields": (
        [
            JSON + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(UNKNOWN),
            UNKNOWN,
        ],
        422, "invalid_request",
    ),
}  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", BAD)
def test_abusive_request_is_refused(service: Service, name: str) -> None:
    parts, status, code = BAD[name]
    outcome = one_request(service, *parts)
    print(f"grown by {outcome.grown / MiB:.1f} MiB, answered after {outcome.seconds:.2f} s")
    assert outcome.status == status, outcome.answer[:500]
    assert code is None or outcome.code == code
    assert len(outcome.answer) < 64_000
    assert outcome.seconds < 5 + LATE_SECONDS
    assert outcome.grown < 32 * MiB


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("bytes_at_a_time", [0, 1], ids=["never reads", "a byte at a time"])
def test_reader_that_does_not_read_is_cut(service: Service, artifact: str, bytes_at_a_time: int) -> None:
    before, started = memory(service.api_pid), time.monotonic()
    grown = 0
    with ExitStack() as stack:
        readers = [stack.enter_context(connect(service, receive_buffer=4096)) for _ in range(20)]
        for one in readers:
            one.send(f"GET {artifact} HTTP/1.1\r\n".encode() + HOST + b"\r\n")
        cut: set[socket.socket] = set()
        while len(cut) < len(readers) and time.monotonic() < started + 60:
            for one in set(readers) - cut:
                if bytes_at_a_time:
                    with suppress(BlockingIOError, ConnectionResetError):
                        one.recv(bytes_at_a_time)
                if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    cut.add(one)
            grown = max(grown, memory(service.api_pid) - before)
            time.sleep(0.05)
        seconds = time.monotonic() - started
    print(f"grown by {grown / MiB:.1f} MiB, cut after {seconds:.1f} s")
    assert len(cut) == len(readers)
    assert seconds < 2 * IDLE_SECONDS + LATE_SECONDS
    assert grown < 16 * MiB  # the bytes go from the file to the socket


def test_slow_but_steady_reader_gets_everything(service: Service, artifact: str) -> None:
    started, received = time.monotonic(), 0
    with httpx2.stream("GET", service.url + artifact) as response:
        for block in response.iter_bytes(4 * MiB):
            received += len(block)
            time.sleep(IDLE_SECONDS / 6)
    assert received == 64 * MiB
    assert time.monotonic() - started > 2 * IDLE_SECONDS


def test_connections_beyond_the_limit_are_told_so(service: Service) -> None:
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(connect(service))
        refused = httpx2.get(f"{service.url}/healthz")
        assert refused.status_code == 503
        assert refused.json()["code"] == "overloaded"
        assert refused.headers["retry-after"]
    service.wait_until(lambda: httpx2.get(f"{service.url}/healthz").status_code == 200)
