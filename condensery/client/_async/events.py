"""Event streams, followed over breaks to their end."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2

from condensery.client._async.requests import AsyncRequests
from condensery.client.errors import CondenseryError, UnexpectedAnswer

END = "end"


async def follow(
    requests: AsyncRequests, path: str, after: int = 0
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The events of a data set or a job after number `after`, as (type, JSON object), and last ("end",
    itself). A connection that breaks is taken up again behind the last event that came.

    Args:
        path: such as /v1/jobs/job_….

    Raises:
        ApiError, UnexpectedAnswer
        ConnectionFailed: it broke too often without an event in between.
    """
    tries = requests.tries()
    while True:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        try:
            async with requests.stream(f"{path}/events/stream", headers) as answer:
                async for found in httpx2.EventSource(answer, max_event_size=None):
                    tries.progressed()
                    data: dict[str, Any] = json.loads(found.data)
                    if found.event == END:
                        yield END, data
                        return
                    after = data["seq"]
                    yield found.event, data
            # A server that is about to stop ends its streams.
            broken = UnexpectedAnswer(f"{requests.address}: the events end before their end")
            broken.retry_after = 0.0
            raise broken
        except CondenseryError as error:
            await tries.again(error)


async def ended(requests: AsyncRequests, path: str) -> dict[str, Any]:
    """The data set or job at `path` as it is once it has ended. Raises as `follow`."""
    async for _, data in follow(requests, path):
        last = data  # of the end: the resource itself
    return last
