"""Several workers of one service, as on several machines: which of them has what in hand, and its end."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support import warm
from tests.support.processes import commands, descendants, is_stopped, parent_of, runner_of, runner_of_attempt

if TYPE_CHECKING:
    from tests.faults.place import Place

_Trial = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A trial as it was when the process that works on it was frozen."""

    trial: _Trial
    runner: int

    @property
    def trial_id(self) -> str:
        return str(self.trial["id"])


class Crew:
    """The service's own worker, and others beside it for as many cases as want them: to start takes long."""

    def __init__(self, place: "Place") -> None:
        self._place = place
        self._others: dict[int, warm.Process] = {}

    def muster(self, others: int) -> None:
        """Have so many beside the service's own."""
        while len(self._others) < others:
            process = self._place.service.spawn("worker")
            self._others[process.pid] = process
        surplus = [self._others.popitem()[1] for _ in range(len(self._others) - others)]
        for process in surplus:
            process.terminate()
        for process in surplus:
            process.wait(120)

    def trials(self, job_id: str) -> list[_Trial]:
        return [row for row in self._place.evidence.rows("trials") if row["job_id"] == job_id]

    def trial(self, trial_id: str) -> _Trial | None:
        return next((row for row in self._place.evidence.rows("trials") if row["id"] == trial_id), None)

    # Who has what.

    def take_hold(self, job_id: str, *, but: Collection[str] = ()) -> Hold | None:
        """Freeze whoever works on a trial of the job beside the job's own attempt."""
        for row in self.trials(job_id):
            if row["state"] == "running" and row["lease_until"] is not None and row["id"] not in but:
                runner = runner_of_attempt(row["id"], row["fence"])
                if runner is not None and (hold := self._frozen(row, runner)):
                    return hold
        return None

    def take_hold_again(self, hold: Hold) -> Hold | None:
        """Freeze whoever has the trial now, after the one who was frozen with it lost it: another worker, or
        the job's own attempt."""
        row = self.trial(hold.trial_id)
        if row is None or row["state"] != "running":
            return None
        if row["job_fence"] is not None:
            runner = runner_of(row["job_id"])
        elif row["fence"] != hold.trial["fence"]:
            runner = runner_of_attempt(row["id"], row["fence"])
        else:
            return None
        return None if runner is None else self._frozen(row, runner)

    def stopped_with_a_trial(self, job_id: str) -> list[Hold]:
        """Who has stopped by itself, at a failpoint, with a trial that it has."""
        return [
            Hold(trial=row, runner=runner)
            for row in self.trials(job_id)
            for runner in self.stopped_with(row["id"])
            if runner == runner_of_attempt(row["id"], row["fence"])
        ]

    def stopped_with(self, row_id: str) -> set[int]:
        """The processes that work on a row, or did, and have stopped."""
        found = set()
        for pid, command in commands().items():
            with suppress(FileNotFoundError, ProcessLookupError):
                if "worker.runner" in command and row_id in command and is_stopped(pid):
                    found.add(pid)
        return found

    def has_changed_hands(self, hold: Hold) -> bool:
        row = self.trial(hold.trial_id)
        return row is None or _hands(row) != _hands(hold.trial)

    def was_counted(self, hold: Hold) -> bool:
        """Whether there is a result in the name of the one who is frozen with the trial."""
        row = self.trial(hold.trial_id)
        return row is not None and row["state"] == "done" and _name(row) == _name(hold.trial)

    def nobody_has_any(self, job_id: str) -> bool:
        """Whether no trial of the job is leased."""
        return all(row["lease_until"] is None for row in self.trials(job_id))

    def _frozen(self, row: _Trial, runner: int) -> Hold | None:
        """None if it was too late: it has finished, or lost the trial."""
        hold = Hold(trial=row, runner=runner)
        with suppress(ProcessLookupError):
            self._place.freeze(runner)
            if not self.has_changed_hands(hold):
                return hold
        self._place.thaw(runner)
        return None

    # Workers.

    def worker_of(self, pid: int) -> int:
        """The first process of the worker that a process belongs to."""
        known = {self._place.service.worker_pid, *self._others}
        while pid not in known:
            pid = parent_of(pid)
        return pid

    def processes_of(self, worker: int) -> set[int]:
        return {worker, *descendants(worker)}

    def kill(self, worker: int) -> None:
        """kill -9 of its first process; the kernel takes the rest with it. Whichever it was, one comes back:
        if all that are left hang, nobody goes on before they are found out."""
        if worker == self._place.service.worker_pid:
            self._place.service.kill_worker()
            self._place.service.start_worker()
        else:
            process = self._others.pop(worker)
            process.kill()
            process.wait(120)
            self.muster(len(self._others) + 1)

    def thaw(self) -> None:
        """Whatever is frozen, of any worker."""
        for worker in (self._place.service.worker_pid, *self._others):
            self._place.thaw(*self.processes_of(worker))


def _name(row: _Trial) -> tuple[Any, ...]:
    return row["fence"], row["job_fence"]


def _hands(row: _Trial) -> tuple[Any, ...]:
    return row["state"], row["lease_until"] is None, *_name(row)
