"""How long each client waits when a server says when to come back: no network, and nothing is waited for."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from condensery import ApiError
from condensery.client._async import download as async_download
from condensery.client._async import events as async_events
from condensery.client._async.requests import FIRST_PAUSE, AsyncRequests
from condensery.client._sync import download, events
from condensery.client._sync.requests import Requests
from condensery.client.fields import ArtifactFields

ADDRESS = "http://condensery.example"
ARTIFACT = ArtifactFields(
    raw={}, id="art_1", created_at=datetime.now(UTC), job_id="job_1", condensed_set_id=None,
    format="npz", file_name="set.npz", media_type="application/octet-stream", size=3, sha256="ab" * 32,
)  # fmt: skip
ENDED = {"status": 410, "code": "enough", "detail": "of these tries"}


def refusal(status: int, wait: str | None) -> httpx2.Response:
    problem = {"status": status, "code": "overloaded", "detail": "later"}
    return httpx2.Response(status, headers={} if wait is None else {"Retry-After": wait}, json=problem)


def seconds_from_now(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def first(items: Iterator[Any]) -> Any:
    return next(items)


async def async_first(items: AsyncIterator[Any]) -> Any:
    return await anext(items)


WAITING: dict[str, Callable[[Requests, Path], Any]] = {
    "get": lambda requests, _: requests.get("/v1/usage"),
    "post": lambda requests, _: requests.post("/v1/jobs", {}, repeatable=True),
    "events": lambda requests, _: first(events.follow(requests, "/v1/jobs/job_1")),
    "download": lambda requests, folder: download.download(requests, ARTIFACT, folder / "set.npz"),
}
ASYNC: dict[str, Callable[[AsyncRequests, Path], Awaitable[Any]]] = {
    "get": lambda requests, _: requests.get("/v1/usage"),
    "post": lambda requests, _: requests.post("/v1/jobs", {}, repeatable=True),
    "events": lambda requests, _: async_first(async_events.follow(requests, "/v1/jobs/job_1")),
    "download": lambda requests, folder: async_download.download(requests, ARTIFACT, folder / "set.npz"),
}


class Client:
    """One of the two, whose waits are written down instead of waited for."""

    def __init__(self, kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kind, self.folder, self.slept = kind, folder, list[float]()

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        monkeypatch.setattr(time, "sleep", self.slept.append)
        monkeypatch.setattr(asyncio, "sleep", sleep)

    def waits(self, operation: str, answers: Iterable[httpx2.Response]) -> list[float]:
        """The seconds it waits while it is given these answers, and then one that ends it."""
        left = iter([*answers, httpx2.Response(410, json=ENDED)])
        transport = httpx2.MockTransport(lambda request: next(left))

        async def all_of_it() -> None:
            async with httpx2.AsyncClient(transport=transport, base_url=ADDRESS) as http:
                await ASYNC[operation](AsyncRequests(http, ADDRESS, retries=3), self.folder)

        with pytest.raises(ApiError, match="enough"):
            if self.kind == "asyncio":
                asyncio.run(all_of_it())
            else:
                with httpx2.Client(transport=transport, base_url=ADDRESS) as http:
                    WAITING[operation](Requests(http, ADDRESS, retries=3), self.folder)
        return self.slept


@pytest.fixture(params=["waiting", "asyncio"])
def client(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    return Client(request.param, tmp_path, monkeypatch)


@pytest.mark.parametrize("operation", WAITING)
@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_the_server_is_left_alone_for_as_long_as_it_says(client: Client, operation: str, status: int) -> None:
    date = seconds_from_now(90)
    answers = [refusal(status, "17"), refusal(status, "120"), refusal(status, date)]
    found = client.waits(operation, answers)
    assert found[:2] == [17, 120]
    assert 60 < found[2] <= 90


def test_a_pause_of_ones_own_is_kept_where_the_server_says_less(client: Client) -> None:
    past = seconds_from_now(-3600)
    found = client.waits("get", [refusal(503, "0"), refusal(503, past), refusal(503, "nonsense")])
    assert len(found) == 3
    for number, seconds in enumerate(found):
        assert FIRST_PAUSE * 2**number / 2 <= seconds <= FIRST_PAUSE * 2**number


@pytest.mark.parametrize("wait", ["121", seconds_from_now(3600)], ids=["seconds", "date"])
def test_who_wants_to_be_left_alone_for_longer_is_told_as_an_error(client: Client, wait: str) -> None:
    with pytest.raises(AssertionError, match="503 overloaded"):
        client.waits("get", [refusal(503, wait)])
    assert client.slept == []
