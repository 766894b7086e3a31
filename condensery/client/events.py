"""Event streams, followed over breaks to their end."""

import json
from typing import Any

import httpx2

from condensery.client.effects import Emit, Next, Open, Operation
from condensery.client.errors import UnexpectedAnswer
from condensery.client.requests import Requests, refusal, retry_after

END = "end"


def follow(requests: Requests, path: str, after: int = 0) -> Operation[dict[str, Any]]:
    """Emits the events of a data set or a job after number `after`, as (type, JSON object), and last
    ("end", itself), which is the result, too. A connection that breaks is taken up again behind the last
    event that came.

    Args:
        path: such as /v1/jobs/job_….

    Raises:
        ApiError, UnexpectedAnswer
        ConnectionFailed: it broke too often without an event in between.
    """
    tries = requests.tries()
    while True:
        try:
            headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
            answer: httpx2.Response = yield Open(path=f"{path}/events/stream", headers=headers, events=True)
            if not answer.is_success:
                refused = refusal(answer)
                wait = retry_after(answer, refused)
                if wait is None:
                    raise refused
                yield from tries.again(refused, wait)
                continue
            found: httpx2.ServerSentEvent | None
            while (found := (yield Next())) is not None:
                tries.progressed()
                data: dict[str, Any] = json.loads(found.data)
                if found.event == END:
                    yield Emit((END, data))
                    return data
                after = data["seq"]
                yield Emit((found.event, data))
            # A server that is about to stop ends its streams.
            yield from tries.again(UnexpectedAnswer(f"{requests.address}: the events end before their end"))
        except httpx2.SSEError as error:
            raise UnexpectedAnswer(f"{requests.address}{path}: {error}") from error
        except httpx2.TransportError as error:
            yield from tries.again(requests.unreachable(error))
