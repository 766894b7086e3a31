"""How long a request may take: a host that swallows packets is given up long before one that thinks."""

import asyncio

import httpx2

from condensery.client import bodies
from condensery.client._async.requests import AsyncRequests
from condensery.client._sync.requests import Requests

ADDRESS = "http://condensery.example"
LATE = bodies.timeout(300.0)


def echo(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, json=request.extensions["timeout"])


def test_a_request_that_may_be_answered_late_must_connect_soon() -> None:
    async def asked() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(echo), base_url=ADDRESS) as http:
            return await AsyncRequests(http, ADDRESS, 0).send("GET", "/", timeout=LATE)

    with httpx2.Client(transport=httpx2.MockTransport(echo), base_url=ADDRESS) as http:
        waiting = Requests(http, ADDRESS, 0).send("GET", "/", timeout=LATE)
    for answer in (waiting, asyncio.run(asked())):
        assert (answer.json()["connect"], answer.json()["read"]) == (10.0, 300.0)
