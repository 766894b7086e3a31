"""Uploads that are refused: how soon, and that no more than a little of the body is needed for it."""

import socket
import time
from dataclasses import dataclass
from statistics import median

from bench.api.stage import LARGEST, STORED, Stage

RUNS = 20
#: All that is ever sent of the body that is announced.
SENT = 64 << 10
_ANNOUNCED = 1 << 29


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A status, and the seconds from the last byte sent to the whole head of the answer."""

    status: int
    median: float
    longest: float


def measure(stage: Stage) -> list[Rejection]:
    """Each upload announces 512 MiB or more and sends 64 KiB of it: whoever answers has read no more."""
    key = f"Authorization: Bearer {stage.token}"
    json = "Content-Type: text/plain"
    cases = {
        401: ("PUT /v1/uploads", f"Content-Length: {_ANNOUNCED}", "Authorization: Bearer key_0.wrong"),
        413: ("PUT /v1/uploads", f"Content-Length: {LARGEST + 1}", key),
        429: ("PUT /v1/uploads", f"Content-Length: {STORED + 1}", key),
        415: ("PATCH /v1/uploads/up_0", f"Content-Length: {_ANNOUNCED}", key, json, "Tus-Resumable: 1.0.0",
              "Upload-Offset: 0"),
    }  # fmt: skip
    found = []
    for status, head in cases.items():
        seconds = [_refused(stage, status, head) for _ in range(RUNS)]
        found.append(Rejection(status=status, median=median(seconds), longest=max(seconds)))
    return found


def _refused(stage: Stage, status: int, head: tuple[str, ...]) -> float:
    line, *headers = head
    lines = [f"{line} HTTP/1.1", f"Host: localhost:{stage.service.port}", *headers, "", ""]
    with socket.create_connection(("127.0.0.1", stage.service.port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode() + bytes(SENT))
        began = time.perf_counter()
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = connection.recv(65536)
            if not part:
                break
            answer += part
        seconds = time.perf_counter() - began
    if not answer.startswith(f"HTTP/1.1 {status} ".encode()):
        raise RuntimeError(f"bench: {line} was answered {answer[:60]!r}, not {status}")
    return seconds
