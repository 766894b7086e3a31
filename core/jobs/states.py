"""The states of jobs and data sets, and the only table of allowed transitions."""

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

#: What a job works on; a job that changes queues between phases is `queued` again for a moment.
PHASES: Final = ("condense", "evaluate", "export")

#: Which queue serves a phase: devices for tensors, plain processors for files.
PHASE_QUEUE: Final = {"condense": "gpu", "evaluate": "gpu", "export": "cpu"}
DATASET_QUEUE: Final = "cpu"

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

#: Neither finished nor in a worker's hands: these count against an owner's limit of queued jobs.
JOB_WAITING: Final = ("queued", "paused")
#: A worker holds the row in these states.
JOB_HELD: Final = ("running", "pausing", "cancelling")
JOB_TERMINAL: Final = tuple(state for state, after in JOB_TRANSITIONS.items() if not after)
DATASET_TERMINAL: Final = tuple(state for state, after in DATASET_TRANSITIONS.items() if not after)


def phases_of(queue: str) -> tuple[str, ...]:
    """The phases that a queue serves."""
    return tuple(phase for phase, served_by in PHASE_QUEUE.items() if served_by == queue)


def sources(transitions: dict[str, frozenset[str]], target: str) -> tuple[str, ...]:
    """The states from which `target` may be entered."""
    return tuple(state for state, after in transitions.items() if target in after)
