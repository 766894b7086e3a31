"""How long a request may take: a host that swallows packets is given up long before one that thinks."""

import asyncio

import httpx2

from condensery.client.bodies import TIMEOUT
from condensery.client.drivers import AsyncDriver, Driver
from condensery.client.effects import Operation, Send


def operation() -> Operation[httpx2.Response]:
    answer: httpx2.Response = yield Send(method="GET", path="http://condensery.example/", read_seconds=300.0)
    return answer


def echo(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, json=request.extensions["timeout"])


def test_a_request_that_may_be_answered_late_must_connect_soon() -> None:
    async def asked() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(echo), timeout=TIMEOUT) as http:
            return await AsyncDriver(http).run(operation())

    with httpx2.Client(transport=httpx2.MockTransport(echo), timeout=TIMEOUT) as http:
        waiting = Driver(http).run(operation())
    for answer in (waiting, asyncio.run(asked())):
        assert (answer.json()["connect"], answer.json()["read"]) == (10.0, 300.0)
