"""Fifty times the connections of a good load: how much still gets through, and how soon it is over."""

import time
from dataclasses import dataclass

from bench.api.stage import Stage
from bench.api.wrk import Load, load

CALM, TOO_MANY = 8, 400
SECONDS = 5


@dataclass(frozen=True, kw_only=True)
class Overload:
    """Reads of a job. `recovered`: seconds from the end of the load until a read is answered in 100 ms."""

    calm: Load
    many: Load
    recovered: float

    @property
    def goodput(self) -> float:
        """Rate under too many connections, by that under a few."""
        return self.many.rate / self.calm.rate


def measure(stage: Stage) -> Overload:
    """Calm, then overloaded; every answer must be a good one."""
    calm = load(stage.job, connections=CALM, seconds=SECONDS, token=stage.token)
    many = load(stage.job, connections=TOO_MANY, seconds=SECONDS, token=stage.token)
    ended = time.monotonic()
    while True:
        began = time.monotonic()
        stage.http.get(stage.job).raise_for_status()
        if time.monotonic() - began < 0.1:
            return Overload(calm=calm, many=many, recovered=time.monotonic() - ended)
