"""What a webhook can be told, and the states of telling it."""

from typing import Final

#: `<kind of row>.<state that it entered>`.
EVENT_TYPES: Final = (
    "job.running",
    "job.paused",
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "dataset.ready",
    "dataset.invalid",
)
#: Sent on request, whatever events a webhook wants.
TEST_EVENT: Final = "webhook.test"

DELIVERY_STATES: Final = ("pending", "delivered", "failed")
