"""Random interleavings of two workers, the API and the reaper against a model of what a job may be.

The model is written down here once more, in the plainest way; the code under test is the transition table and
everything that writes through it.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select, update

from core.db.models import Event, Job
from core.db.session import Database
from core.db.types import db_now
from core.errors import Conflict
from core.jobs.control import cancel_job, delete_job, pause_job, resume_job
from core.settings import Settings
from core.storage.local import LocalStorage
from core.vocabulary import JOB_TERMINAL, PRIORITIES, QUEUES
from core.work.leases import Heartbeat, Lease, claim_next
from core.work.reaper import reap, release, wait_again
from core.work.retries import RETRY_POLICIES
from core.work.transitions import held_by, move, record
from tests.support.leased import add_job, process_settings

RUNNING_LIMIT = 2
MAX_ATTEMPTS = 3
OWNERS = ("ann", "bob")


@dataclass
class Model:
    """What a job must look like."""

    owner: str
    priority: int
    state: str = "queued"
    phase: str = "condense"
    queue: str = "gpu"
    fence: int = 0
    lost: int = 0
    """Attempts in a row that were lost."""
    history: list[str] = field(default_factory=lambda: ["queued"])

    def enter(self, state: str) -> None:
        self.state = state
        self.history.append(state)

    @property
    def held(self) -> bool:
        return self.state in ("running", "pausing", "cancelling")


class Machine(RuleBasedStateMachine):
    database: Database
    storage: LocalStorage
    settings: Settings

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, Model] = {}
        self.leases: list[Lease] = []
        with self.database.writing() as session:
            session.execute(delete(Event))
            session.execute(delete(Job))

    def a_job(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.jobs)))

    @initialize(owner=st.sampled_from(OWNERS))
    def begin(self, owner: str) -> None:
        """With a job in work, or most of the steps would be spent on the way there."""
        self.submit(owner, 1)
        self.claim("gpu")

    # The API.

    @precondition(lambda self: len(self.jobs) < 4)
    @rule(owner=st.sampled_from(OWNERS), priority=st.sampled_from(range(len(PRIORITIES))))
    def submit(self, owner: str, priority: int) -> None:
        with self.database.writing() as session:
            job_id = add_job(session, owner=owner, priority=priority).id
        self.jobs[job_id] = Model(owner=owner, priority=priority)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), action=st.sampled_from(["cancel", "pause", "resume", "delete"]))
    def ask(self, data: st.DataObject, action: str) -> None:
        job_id = self.a_job(data)
        model = self.jobs[job_id]
        expected = {
            "cancel": {
                "queued": "cancelled", "paused": "cancelled", "cancelled": "cancelled",
                "running": "cancelling", "pausing": "cancelling", "cancelling": "cancelling",
            },
            "pause": {"queued": "paused", "paused": "paused", "running": "pausing", "pausing": "pausing"},
            "resume": {"paused": "queued", "queued": "queued", "running": "running"},
            "delete": dict.fromkeys(JOB_TERMINAL, "gone"),
        }[action].get(model.state)  # fmt: skip
        try:
            with self.database.writing() as session:
                job = session.get_one(Job, job_id)
                if action == "cancel":
                    cancel_job(session, self.storage, job)
                elif action == "pause":
                    pause_job(session, job)
                elif action == "resume":
                    resume_job(session, job)
                else:
                    delete_job(session, self.storage, job)
        except Conflict:
            assert expected is None, f"{action} of a job that is {model.state} was refused"
            return
        assert expected is not None, f"{action} of a job that is {model.state} was allowed"
        if expected == "gone":
            del self.jobs[job_id]
        elif expected != model.state:
            if model.state == "paused" and expected == "queued":
                model.lost = 0
            model.enter(expected)

    # Workers.

    @rule(queue=st.sampled_from(QUEUES))
    def claim(self, queue: str) -> None:
        with self.database.writing() as session:
            lease = claim_next(session, queue, worker=queue, seconds=60, running_limit=RUNNING_LIMIT)
        in_work = {owner: sum(m.held and m.owner == owner for m in self.jobs.values()) for owner in OWNERS}
        waiting = {
            job_id: model
            for job_id, model in self.jobs.items()
            if model.state == "queued" and model.queue == queue and in_work[model.owner] < RUNNING_LIMIT
        }
        if lease is None:
            assert not waiting
            return
        model = waiting[lease.row_id]
        assert model.priority == max(one.priority for one in waiting.values())
        urgent = {one.owner for one in waiting.values() if one.priority == model.priority}
        assert in_work[model.owner] == min(in_work[owner] for owner in urgent)
        model.fence += 1
        assert lease.fence == model.fence
        model.enter("running")
        self.leases.append(lease)

    def holds(self, lease: Lease) -> bool:
        model = self.jobs.get(lease.row_id)
        return model is not None and model.held and model.fence == lease.fence

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        with self.database.writing() as session:
            answer = Heartbeat(lease, 60).renew(session)
        assert (answer is not None) == self.holds(lease)
        if answer is not None:
            assert answer[0] == self.jobs[lease.row_id].state

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), deed=st.sampled_from(["checkpoint", "hand over", "publish", "fail", "stop", "die"]))
    def work(self, data: st.DataObject, deed: str) -> None:
        """What an attempt writes, whether it still holds the job or not."""
        lease = data.draw(st.sampled_from(self.leases))
        mine = held_by(Job, lease.fence)
        done: Any
        with self.database.writing() as session:
            job = session.get(Job, lease.row_id)
            if job is None:
                assert lease.row_id not in self.jobs
                return
            if deed == "checkpoint":
                done = record(session, Job, job.id, "checkpoint", {}, *mine, setbacks={})
            elif deed == "hand over":
                target = "paused" if job.state == "pausing" else "queued"
                done = move(session, Job, job.id, target, *mine, phase="export", queue="cpu", setbacks={})
            elif deed == "publish":
                done = move(session, Job, job.id, "succeeded", *mine)
            elif deed == "fail":
                done = move(session, Job, job.id, "failed", *mine)
            elif deed == "stop":
                targets = {"cancelling": "cancelled", "pausing": "paused"}
                target = targets.get(job.state, "queued")
                if target == "queued":
                    done = wait_again(session, job, *mine, data={})
                else:
                    done = move(session, Job, job.id, target, *mine)
            else:
                if job.fence != lease.fence or job.lease_until is None:
                    return  # the supervisor looks first
                done = release(session, self.storage, job, self.settings, "worker_lost", "killed")
        self.expect(lease, deed, bool(done))

    def expect(self, lease: Lease, deed: str, done: bool) -> None:
        model = self.jobs[lease.row_id]
        allowed = self.holds(lease) and not (model.state == "cancelling" and deed in ("hand over", "publish"))
        assert done == allowed, f"{deed} by attempt {lease.fence} of a job that is {model.state}: {done}"
        if not done:
            return
        if deed == "checkpoint":
            model.lost = 0
        elif deed == "hand over":
            model.enter("paused" if model.state == "pausing" else "queued")
            model.phase, model.queue, model.lost = "export", "cpu", 0
        elif deed == "stop":
            model.enter({"cancelling": "cancelled", "pausing": "paused"}.get(model.state, "queued"))
        elif deed == "die":
            self.lose(model)
        else:
            model.enter("succeeded" if deed == "publish" else "failed")

    def lose(self, model: Model) -> None:
        if model.state == "cancelling":
            model.enter("cancelled")
            return
        model.lost += 1
        if model.state == "pausing":
            model.enter("paused")
        else:
            model.enter("failed" if model.lost >= MAX_ATTEMPTS else "queued")

    # Time and the reaper.

    @precondition(lambda self: any(model.held for model in self.jobs.values()))
    @rule(data=st.data(), sweeps=st.integers(1, 2))
    def fall_silent(self, data: st.DataObject, sweeps: int) -> None:
        """A lease runs out; a second sweep must do nothing more."""
        job_id = data.draw(st.sampled_from(sorted(j for j, model in self.jobs.items() if model.held)))
        with self.database.writing() as session:
            session.execute(update(Job).where(Job.id == job_id).values(lease_until=db_now(-1)))
        for _ in range(sweeps):
            with self.database.writing() as session:
                reap(session, self.storage, self.settings)
        self.lose(self.jobs[job_id])

    # What must hold at any time.

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        with self.database.reading() as session:
            rows = {job.id: job for job in session.scalars(select(Job))}
            events: dict[str, list[Event]] = {}
            for event in session.scalars(select(Event).order_by(Event.subject_id, Event.seq)):
                events.setdefault(event.subject_id, []).append(event)
        assert rows.keys() == events.keys() == self.jobs.keys()
        for job_id, model in self.jobs.items():
            row, history = rows[job_id], events[job_id]
            assert (row.state, row.phase, row.queue) == (model.state, model.phase, model.queue)
            assert row.fence == model.fence
            assert (row.lease_until is not None) == model.held
            assert (row.finished_at is not None) == (model.state in JOB_TERMINAL)
            assert row.setbacks.get("worker_lost", 0) == model.lost or model.state in JOB_TERMINAL
            assert [event.type for event in history if event.type != "checkpoint"] == model.history
            assert all(after.seq == before.seq + 1 for before, after in pairwise(history))


def test_random_interleavings(
    database: Database, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert RETRY_POLICIES["worker_lost"].attempts is None
    folder = tmp_path_factory.mktemp("machine")
    with process_settings(monkeypatch, data_dir=folder, max_attempts=MAX_ATTEMPTS) as chosen:
        Machine.database, Machine.storage, Machine.settings = database, LocalStorage(folder), chosen
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=50,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
