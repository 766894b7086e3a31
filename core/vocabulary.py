"""The words that rows, events and messages are written in: states with the only tables of allowed
transitions, queues, priorities. Imports nothing, so that every room may use them."""

from typing import Final

JOB_STATES: Final = (
    "queued",
    "running",
    "pausing",
    "paused",
    "cancelling",
    "cancelled",
    "succeeded",
    "failed",
)
DATASET_STATES: Final = ("receiving", "ingesting", "ready", "invalid")
#: `reading`: a worker is to make it of an upload or of other sets, or is at it.
CONDENSED_SET_STATES: Final = ("reading", "ready", "invalid")
#: A trial that is `done` has its result; nothing else of it ever changes.
TRIAL_STATES: Final = ("waiting", "running", "done")

#: Devices for tensors, plain processors for files.
QUEUES: Final = ("cpu", "gpu")
#: Serves data sets and condensed sets that are to be read.
INTAKE_QUEUE: Final = "cpu"
TRIAL_QUEUE: Final = "gpu"

#: In the order in which jobs are taken; across owners, who take turns within one.
PRIORITIES: Final = ("low", "normal", "high")

JOB_TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    "queued": frozenset({"running", "paused", "cancelled", "failed"}),
    "running": frozenset({"queued", "pausing", "cancelling", "succeeded", "failed"}),
    "pausing": frozenset({"paused", "cancelling", "succeeded", "failed"}),
    "paused": frozenset({"queued", "cancelled"}),
    "cancelling": frozenset({"cancelled", "failed"}),
    "cancelled": frozenset(),
    "succeeded": frozenset(),
    "failed": frozenset(),
}
DATASET_TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    "receiving": frozenset({"ingesting", "invalid"}),
    "ingesting": frozenset({"ready", "invalid"}),
    "ready": frozenset(),
    "invalid": frozenset(),
}
CONDENSED_SET_TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    "reading": frozenset({"ready", "invalid"}),
    "ready": frozenset(),
    "invalid": frozenset(),
}
TRIAL_TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    "waiting": frozenset({"running"}),
    "running": frozenset({"waiting", "done"}),
    "done": frozenset(),
}

#: Neither finished nor in a worker's hands: these count against an owner's limit of queued jobs.
JOB_WAITING: Final = ("queued", "paused")
#: A worker holds the row in these states.
JOB_HELD: Final = ("running", "pausing", "cancelling")
JOB_TERMINAL: Final = tuple(state for state, after in JOB_TRANSITIONS.items() if not after)
DATASET_TERMINAL: Final = tuple(state for state, after in DATASET_TRANSITIONS.items() if not after)
CONDENSED_SET_TERMINAL: Final = tuple(s for s, after in CONDENSED_SET_TRANSITIONS.items() if not after)
#: A job's trials may be worked on in these states of it: `queued`, while another attempt takes it over.
JOB_WITH_TRIALS: Final = ("running", "queued")

DELIVERY_STATES: Final = ("pending", "delivered", "failed")


def sources(transitions: dict[str, frozenset[str]], target: str) -> tuple[str, ...]:
    """The states from which `target` may be entered."""
    return tuple(state for state, after in transitions.items() if target in after)
