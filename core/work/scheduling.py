"""The claim order: of the rows that wait, the one that a free worker is to take.

Jobs go by priority; within one, owners take turns, so that a thousand jobs of one owner hold up nobody:
first the owner with the least in work, then the one who has waited longest since a job of theirs was last
started. An owner at the limit of running jobs is passed over. The trials of a job that runs are claimed in
the same order, before another job of the same owner: what was begun ends first. Data sets and condensed
sets that are to be read go the same way, without priority, after the jobs that their queue serves: an export
finishes a job.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, func, or_, select, tuple_
from sqlalchemy.orm import Session

from core.db.models import Job, Trial
from core.db.types import db_now
from core.vocabulary import INTAKE_QUEUE, JOB_HELD, QUEUES, TRIAL_QUEUE
from core.work.transitions import INTAKE, Leased

_NEVER = datetime.min.replace(tzinfo=UTC)
_QUEUED = select(Job.id).where(Job.state == "queued")


@dataclass(frozen=True, kw_only=True)
class _Head:
    """The first job that an owner has waiting at a priority, or the first trial of one of their jobs."""

    model: Leased
    priority: int
    owner: str
    id: str
    last_start: datetime


def next_row(session: Session, queue: str, *, running_limit: int) -> tuple[Leased, str] | None:
    """Table and id of the row to be taken next by a worker of this queue; None if there is none.

    Reads a few entries of indexes for each owner and priority with queued jobs, however many those are, and
    a few for each job in work. Only of the jobs that are due again after a retry it reads every one's entry.
    """
    in_work = _in_work(session)
    heads = [*_jobs(session, queue), *(_trials(session) if queue == TRIAL_QUEUE else ())]
    allowed = [one for one in heads if in_work[one.owner] < running_limit]

    def turn(one: _Head) -> tuple[int, int, datetime, bool, str]:
        return -one.priority, in_work[one.owner], one.last_start, one.model is Job, one.id

    if allowed:
        first = min(allowed, key=turn)
        return first.model, first.id
    return _next_to_be_read(session) if queue == INTAKE_QUEUE else None


def due(model: Leased) -> ColumnElement[bool]:
    """No retry keeps the row waiting."""
    return or_(model.retry_at.is_(None), model.retry_at <= db_now())


def for_any_worker() -> tuple[ColumnElement[bool], ...]:
    """Conditions: a trial waits, and a worker that does not hold its job may take it."""
    return Trial.state == "waiting", Trial.problem.is_(None), due(Trial)


def _in_work(session: Session) -> Counter[str]:
    """By owner: jobs in work, and trials that workers have taken beside them."""
    jobs = select(Job.owner, func.count()).where(Job.state.in_(JOB_HELD)).group_by(Job.owner)
    beside = (
        select(Trial.owner, func.count())
        .where(Trial.state == "running", Trial.lease_until.is_not(None))
        .group_by(Trial.owner)
    )
    return Counter(dict(session.execute(jobs).all())) + Counter(dict(session.execute(beside).all()))


def _next_to_be_read(session: Session) -> tuple[Leased, str] | None:
    """The data set or condensed set whose owner has the fewest of them in work, the oldest of theirs."""
    heads: list[tuple[str, str, Leased]] = []
    busy: Counter[str] = Counter()
    for model, state in INTAKE.items():
        here = model.state == state
        waiting = select(model.owner, func.min(model.id)).where(here, model.lease_until.is_(None), due(model))
        heads += [(owner, row_id, model) for owner, row_id in session.execute(waiting.group_by(model.owner))]
        held = select(model.owner, func.count()).where(here, model.lease_until.is_not(None))
        busy += Counter(dict(session.execute(held.group_by(model.owner)).all()))

    def turn(head: tuple[str, str, Leased]) -> tuple[int, str]:
        owner, row_id, _ = head
        return busy[owner], row_id.partition("_")[2]

    if not heads:
        return None
    _, row_id, model = min(heads, key=turn)
    return model, row_id


def _trials(session: Session) -> Iterator[_Head]:
    first = (
        select(Trial.id)
        .where(Trial.job_id == Job.id, *for_any_worker())
        .order_by(Trial.position, Trial.id)
        .limit(1)
        .scalar_subquery()
    )
    running = select(Job.priority, Job.owner, Job.started_at, first.label("trial_id")).where(
        Job.state == "running", Job.queue == TRIAL_QUEUE
    )
    for row in session.execute(running):
        if row.trial_id is not None:
            yield _Head(
                model=Trial,
                priority=row.priority,
                owner=row.owner,
                id=row.trial_id,
                last_start=row.started_at or _NEVER,
            )


def _jobs(session: Session, queue: str) -> Iterator[_Head]:
    for priority, owner, started, *ids in session.execute(_of_heads(queue)):
        if found := [one for one in ids if one is not None]:
            yield _Head(
                model=Job, priority=priority, owner=owner, id=min(found), last_start=started or _NEVER
            )


@lru_cache  # to make it takes longer than to run it
def _of_heads(queue: str) -> Select[Any]:
    """Priority, owner, that owner's last start, and ids: of the first job that needs no retry, and of the
    first that is due again for one."""
    turns = _turns()
    # Evaluated once: a clock that is asked for every row is no bound for an index.
    now = select(db_now()).scalar_subquery()
    jobs = _QUEUED.where(Job.priority == turns.c.priority, Job.owner == turns.c.owner, Job.queue == queue)
    # Sorted by `retry_at`, which is null: only so PostgreSQL sees the order that the index has.
    fresh = jobs.where(Job.retry_at.is_(None)).order_by(Job.retry_at, Job.id).limit(1)
    # Grouped, though into one: PostgreSQL may else look for the least id among all jobs of the owner.
    # And not null, which follows, for its estimate: of most jobs it is.
    again = jobs.where(Job.retry_at.is_not(None), Job.retry_at <= now).group_by(Job.queue)
    firsts = [fresh.scalar_subquery(), again.with_only_columns(func.min(Job.id)).scalar_subquery()]
    last_start = select(func.max(Job.started_at)).where(Job.owner == turns.c.owner).scalar_subquery()
    found = select(turns.c.priority, turns.c.owner, last_start, *firsts)
    return found.where(turns.c.owner.is_not(None))


def _turns() -> CTE:
    """Every priority and owner with queued jobs, from one pair to the next, past all jobs between them; after
    the last one a row of nulls."""
    first = _QUEUED.order_by(Job.priority, Job.owner).limit(1)
    columns = (Job.priority, Job.owner)
    turns = select(*(first.with_only_columns(one).scalar_subquery().label(one.key) for one in columns)).cte(
        "turns", recursive=True
    )
    # Compared as rows: of all indexes, only the claim order's has that order. SQLite begins at what is
    # equal: behind the last queue nothing is. And it compares no column of text in an index with another.
    end = tuple_(turns.c.priority, turns.c.owner.concat(""), max(QUEUES) + "~")
    behind = first.where(tuple_(*columns, Job.queue) > end)
    onwards = (behind.with_only_columns(one).correlate(turns).scalar_subquery() for one in columns)
    return turns.union_all(select(*onwards).select_from(turns).where(turns.c.owner.is_not(None)))
