"""How long the client waits when a server says when to come back. Operations are driven by hand: no network,
no clock."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from condensery import ApiError
from condensery.client.download import download
from condensery.client.effects import Operation, Sleep
from condensery.client.events import follow
from condensery.client.fields import ArtifactFields
from condensery.client.requests import FIRST_PAUSE, Requests

ADDRESS = "http://condensery.example"
REQUESTS = Requests(ADDRESS, retries=3)
ARTIFACT = ArtifactFields(
    raw={}, id="art_1", created_at=datetime.now(UTC), job_id="job_1", format="npz", file_name="set.npz",
    media_type="application/octet-stream", size=3, sha256="ab" * 32,
)  # fmt: skip


def refusal(status: int, wait: str | None) -> httpx2.Response:
    problem = {"status": status, "code": "overloaded", "detail": "later"}
    headers = {} if wait is None else {"Retry-After": wait}
    return httpx2.Response(status, headers=headers, json=problem, request=httpx2.Request("GET", ADDRESS))


def waits(operation: Operation[Any], answers: Iterable[httpx2.Response]) -> list[float]:
    """The seconds it asks to wait while these are answered to it, one a request. Then it is let go."""
    left, result, found = [*answers], None, []
    while True:
        effect = operation.send(result)
        if isinstance(effect, Sleep):
            found.append(effect.seconds)
            result = None
        elif left:
            result = left.pop(0)
        else:
            operation.close()
            return found


def seconds_from_now(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


OPERATIONS: list[Callable[[Path], Operation[Any]]] = [
    lambda _: REQUESTS.get("/v1/usage"),
    lambda _: REQUESTS.post("/v1/jobs", {}, repeatable=True),
    lambda _: follow(REQUESTS, "/v1/jobs/job_1"),
    lambda folder: download(REQUESTS, ARTIFACT, folder / "set.npz"),
]


@pytest.mark.parametrize("begin", OPERATIONS, ids=["get", "post", "events", "download"])
@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_the_server_is_left_alone_for_as_long_as_it_says(
    begin: Callable[[Path], Operation[Any]], status: int, tmp_path: Path
) -> None:
    date = seconds_from_now(90)
    found = waits(begin(tmp_path), [refusal(status, "17"), refusal(status, "120"), refusal(status, date)])
    assert found[:2] == [17, 120]
    assert 85 < found[2] <= 90


def test_a_pause_of_ones_own_is_kept_where_the_server_says_less() -> None:
    past = seconds_from_now(-3600)
    found = waits(REQUESTS.get("/"), [refusal(503, "0"), refusal(503, past), refusal(503, "nonsense")])
    for number, seconds in enumerate(found):
        assert FIRST_PAUSE * 2**number / 2 <= seconds <= FIRST_PAUSE * 2**number


@pytest.mark.parametrize("wait", ["121", seconds_from_now(3600)], ids=["seconds", "date"])
def test_who_wants_to_be_left_alone_for_longer_is_told_as_an_error(wait: str) -> None:
    with pytest.raises(ApiError, match="503 overloaded"):
        waits(REQUESTS.get("/"), [refusal(503, wait)])
