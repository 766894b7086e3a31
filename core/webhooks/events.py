"""What a webhook can be told."""

from typing import Final, Literal, get_args

#: `<kind of row>.<state that it entered>`.
EventType = Literal[
    "job.running",
    "job.paused",
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "dataset.ready",
    "dataset.invalid",
    "condensed_set.ready",
    "condensed_set.invalid",
]
EVENT_TYPES: Final[tuple[str, ...]] = get_args(EventType)
#: Sent on request, whatever events a webhook wants.
TEST_EVENT: Final = "webhook.test"
