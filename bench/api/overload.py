"""Five and fifty times the connections of a good load: how much gets through, and how soon it is over."""

import time
from dataclasses import dataclass

from bench.api.stage import Stage
from bench.api.wrk import Load, load

CALM, MANY, TOO_MANY = 8, 40, 400
#: So long that the 400 requests which have been begun at the end, and are not counted, weigh little.
TURNS, SECONDS = 3, 20
QUICK = 0.1


@dataclass(frozen=True, kw_only=True)
class Overload:
    """Reads of a job. `many`, `too_many`: the rate over so many connections by that over a few, in turn.
    `recovered`: seconds from the end of the load until a read is quick, the longest."""

    many: list[float]
    too_many: list[float]
    recovered: float


def measure(stage: Stage) -> Overload:
    """Calm and overloaded in turns; every answer must be a good one."""

    def reads(connections: int) -> Load:
        return load(stage.job, connections=connections, seconds=SECONDS, token=stage.token)

    many, too_many, recovered = [], [], []
    for _ in range(TURNS):
        calm = reads(CALM).rate
        many.append(reads(MANY).rate / calm)
        too_many.append(reads(TOO_MANY).rate / calm)
        recovered.append(_seconds_until_quick(stage))
    return Overload(many=many, too_many=too_many, recovered=max(recovered))


def _seconds_until_quick(stage: Stage) -> float:
    ended = time.monotonic()
    while True:
        began = time.monotonic()
        stage.http.get(stage.job).raise_for_status()
        if time.monotonic() - began < QUICK:
            return time.monotonic() - ended
