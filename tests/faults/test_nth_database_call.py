"""F29: the n-th database call of an operation is lost, for every n. In the end it is as if none had been.

What comes after is what the product does: a client repeats its request, a worker tries again, and a row whose
attempt ended is put right by the reaper, for the next attempt.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from api.app import create_app
from core.db.models import Artifact, Checkpoint, Delivery, IdempotencyKey, Job, Webhook
from core.db.types import db_now
from core.ids import new_id
from core.work.leases import Heartbeat, Lease, claim_next
from core.work.reaper import reap
from core.work.transitions import move
from tests.faults.checker import contradictions, litter
from tests.faults.evidence import Evidence
from tests.integration.test_checkpoints import assert_same_bits, state_at
from tests.support.api import SMALL, client_of, problem_of
from tests.support.condensed import condensed_job, copy_of, next_attempt
from tests.support.leased import OWNER, WORKER, events_of, expire, job_of, take
from tests.support.lost_calls import WHATS, LostCall, What
from tests.support.sweeping import sweep_everything
from tests.support.workplace import Workplace
from tests.support.works import keep, newest
from worker import phases
from worker.attempt import Attempt


class Scene:
    """One place and what an operation is done to, again and again."""

    def __init__(self, place: Workplace, evidence: Evidence) -> None:
        self.place, self.database, self.storage = place, place.database, place.storage
        self.evidence = evidence
        self.http = client_of(create_app(place.settings, place.database, place.storage))
        self.dataset_id = place.new_dataset()
        self.condensed = ""
        self.lost = LostCall(self.database, 0, "call")
        with self.database.writing() as session:
            listening = {"url": "https://example.org/", "enabled": True, "secret": "whsec_AA=="}
            session.add(Webhook(id=new_id("wh"), owner=OWNER, **listening))

    @contextmanager
    def disturbed(self) -> Iterator[None]:
        """The operation whose n-th call is lost. Whatever it leaves, it is nothing half-made."""
        with self.lost:
            yield
        assert contradictions(self.evidence) == []

    def ask(self, path: str, **arguments: Any) -> httpx2.Response:
        """POST, disturbed, and once more if the answer is that the database is not available."""
        with self.disturbed():
            answer = self.http.post(path, **arguments)
        if self.lost.happened:
            problem_of(answer, 503, "database_unavailable")
            assert answer.headers["retry-after"]
            answer = self.http.post(path, **arguments)
        return answer

    def attempt(self, job_id: str) -> Attempt:
        return next_attempt(self.database, self.storage, self.place.settings, job_id)

    def reap(self) -> None:
        with self.database.writing() as session:
            reap(session, self.storage, self.place.settings)

    def silence(self, job_id: str) -> None:
        """Whoever has the job is heard of no more, and its lease runs out."""
        if job_of(self.database, job_id).lease_until is not None:
            with self.database.writing() as session:
                expire(session, Job, job_id)
        self.reap()

    def with_checkpoints(self, *iterations: int) -> tuple[str, Attempt]:
        job_id = self.place.new_job(self.dataset_id)
        attempt = self.attempt(job_id)
        for iteration in iterations:
            keep(attempt, state_at(iteration))
        return job_id, attempt

    def give_back(self, job_id: str, state: str = "queued") -> None:
        with self.database.writing() as session:
            assert move(session, Job, job_id, state)

    def tidy(self) -> None:
        """What sweeps do, were everything old enough."""
        sweep_everything(self.database, self.storage)
        self.storage.forget_abandoned(0)

    def outcome(self, job_id: str) -> dict[str, Any]:
        """All that anybody can see of a job, but for ids, times and the attempts that were lost."""
        with self.database.reading() as session:
            job = session.get_one(Job, job_id)
            kept = session.scalars(select(Checkpoint.iteration).where(Checkpoint.job_id == job_id)).all()
            offered = session.execute(
                select(Artifact.format, Artifact.size, Artifact.sha256).where(Artifact.job_id == job_id)
            ).all()
            told = [json.loads(body) for body in session.scalars(select(Delivery.body).order_by(Delivery.id))]
        events = events_of(self.database, job_id)
        lost = {at for n, one in enumerate(events) if one.data.get("cause") for at in (n, n + 1)}
        return {
            "row": (job.state, job.phase, job.iteration, job.result is not None, job.problem),
            "held": (job.lease_until is not None, job.worker),
            "ended": job.finished_at is not None,
            "attempts": job.fence - len(lost) // 2,
            "events": [one.type for n, one in enumerate(events) if n not in lost],
            "checkpoints": sorted(kept),
            "artifacts": sorted(map(tuple, offered)),
            # Whoever listens hears of every attempt, also of one that was lost.
            "told": [
                one["type"] for one in told if one["data"]["id"] == job_id and one["type"] != "job.running"
            ],
        }


def submission(scene: Scene) -> str:
    body, key = {"dataset_id": scene.dataset_id, **SMALL}, new_id("key")
    with scene.database.reading() as session:
        before = session.scalar(select(func.count()).select_from(Job))
    answer = scene.ask("/v1/jobs", json=body, headers={"Idempotency-Key": key})
    took_effect = scene.lost.happened and scene.lost.what == "answer"
    assert answer.status_code == (200 if took_effect else 202)
    with scene.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == (before or 0) + 1
        assert session.get_one(IdempotencyKey, (OWNER, key)).resource_id == answer.json()["id"]
    return str(answer.json()["id"])


def claiming(scene: Scene) -> str:
    job_id = scene.place.new_job(scene.dataset_id)

    def claim() -> Lease | None:
        with scene.database.writing() as session:
            return claim_next(session, "gpu", worker=WORKER, seconds=60, running_limit=9)

    lease = None
    with scene.disturbed():
        lease = claim()
    if lease is None:
        scene.silence(job_id)  # nobody knows of it, if it was claimed
        lease = claim()
    assert lease is not None and lease.row_id == job_id
    job = job_of(scene.database, job_id)
    assert job.fence == lease.fence and job.setbacks == ({"worker_lost": 1} if lease.fence == 2 else {})
    assert lease.fence == (2 if scene.lost.happened and scene.lost.what == "answer" else 1)
    return job_id


def heartbeat(scene: Scene) -> str:
    job_id = scene.place.new_job(scene.dataset_id)
    beating = Heartbeat(take(scene.database, job_id, seconds=10), 60)

    def renew() -> tuple[str, int] | None:
        with scene.database.writing() as session:
            return beating.renew(session)

    held = None
    with scene.disturbed():
        held = renew()
    assert (held or renew()) == ("running", 2)
    with scene.database.reading() as session:
        assert session.scalar(select(Job.lease_until > db_now(50)).where(Job.id == job_id))
    assert not beating.overdue
    return job_id


def checkpoint(scene: Scene) -> str:
    job_id, attempt = scene.with_checkpoints(1, 2)
    done = False
    with scene.disturbed():
        keep(attempt, state_at(3))
        done = True
    if not done:
        scene.silence(job_id)
        attempt = scene.attempt(job_id)
        found = newest(attempt)
        assert found is not None
        took_effect = scene.lost.what == "answer"
        assert_same_bits(found, state_at(3 if took_effect else 2))
        if not took_effect:
            keep(attempt, state_at(3))
        assert job_of(scene.database, job_id).setbacks == ({"worker_lost": 1} if took_effect else {})
    assert_same_bits(newest(attempt), state_at(3))
    return job_id


def publication(scene: Scene) -> str:
    job_id = copy_of(scene.place, scene.condensed)
    attempt = scene.attempt(job_id)
    with scene.disturbed():
        phases.run(attempt)
    scene.silence(job_id)  # nothing of it holds, if it was published
    job = job_of(scene.database, job_id)
    if job.state == "queued":
        # The first COMMIT takes over what an earlier attempt had in hand, the second one publishes.
        assert scene.lost.what == "call" or scene.lost.number == 1
        assert job.setbacks == {"worker_lost": 1}
        phases.run(scene.attempt(job_id))
    return job_id


def cancelling_what_waits(scene: Scene) -> str:
    job_id, _ = scene.with_checkpoints(1, 2)
    scene.give_back(job_id)
    answer = scene.ask(f"/v1/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
    return job_id


def cancelling_what_runs(scene: Scene) -> str:
    job_id, _ = scene.with_checkpoints(1, 2)
    answer = scene.ask(f"/v1/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelling")
    scene.silence(job_id)
    return job_id


def pausing_what_waits(scene: Scene) -> str:
    job_id = scene.place.new_job(scene.dataset_id)
    answer = scene.ask(f"/v1/jobs/{job_id}/pause")
    assert (answer.status_code, answer.json()["state"]) == (202, "paused")
    return job_id


def pausing_what_runs(scene: Scene) -> str:
    job_id, _ = scene.with_checkpoints(1)
    answer = scene.ask(f"/v1/jobs/{job_id}/pause")
    assert (answer.status_code, answer.json()["state"]) == (202, "pausing")
    return job_id


def resuming(scene: Scene) -> str:
    job_id = scene.place.new_job(scene.dataset_id)
    scene.give_back(job_id, "paused")
    answer = scene.ask(f"/v1/jobs/{job_id}/resume")
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    return job_id


def reaping(scene: Scene, asked_for: str | None = None) -> str:
    job_id, _ = scene.with_checkpoints(1, 2)
    with scene.database.writing() as session:
        if asked_for is not None:
            assert move(session, Job, job_id, asked_for)
        expire(session, Job, job_id)
    with scene.disturbed():
        scene.reap()
    scene.reap()
    assert job_of(scene.database, job_id).setbacks == (
        {} if asked_for == "cancelling" else {"worker_lost": 1}
    )
    return job_id


OPERATIONS: dict[str, Callable[[Scene], str]] = {
    "submission": submission,
    "claim": claiming,
    "heartbeat": heartbeat,
    "checkpoint": checkpoint,
    "publication": publication,
    "cancel waiting": cancelling_what_waits,
    "cancel running": cancelling_what_runs,
    "pause waiting": pausing_what_waits,
    "pause running": pausing_what_runs,
    "resume": resuming,
    "reap": reaping,
    "reap cancelling": partial(reaping, asked_for="cancelling"),
    "reap pausing": partial(reaping, asked_for="pausing"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_call(bench: Workplace, evidence: Evidence, name: str) -> None:
    operation, scene = OPERATIONS[name], Scene(bench, evidence)
    if operation is publication:
        scene.condensed = condensed_job(bench)
    undisturbed = _done(scene, operation)
    lost: Counter[What] = Counter()
    for what in WHATS:
        for number in count(1):
            scene.lost = LostCall(scene.database, number, what)
            outcome = _done(scene, operation)
            assert outcome == undisturbed, f"{what} {number}"
            if not scene.lost.happened:
                break
            lost[what] += 1
    assert lost["call"] > lost["answer"] > 0, "every operation has statements and a COMMIT"


def _done(scene: Scene, operation: Callable[[Scene], str]) -> dict[str, Any]:
    """The outcome, after the sweep; and nothing waits any more for what the next operation asks for."""
    job_id = operation(scene)
    scene.tidy()
    assert contradictions(scene.evidence) + litter(scene.evidence) == []
    outcome = scene.outcome(job_id)
    with scene.database.writing() as session:
        _ = move(session, Job, job_id, "cancelled", Job.lease_until.is_(None)) or (
            move(session, Job, job_id, "cancelling") and move(session, Job, job_id, "cancelled")
        )
    return outcome
