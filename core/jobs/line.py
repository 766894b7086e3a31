"""Who is next: of the rows that wait, the one that a free worker is to take.

Jobs go by priority; within one, owners take turns, so that a thousand jobs of one owner hold up nobody:
first the owner with the fewest jobs in work, then the one who has waited longest since a job of theirs
was last started. An owner at the limit of running jobs is passed over. Data sets go the same way, without
priority.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, func, or_, select, tuple_
from sqlalchemy.orm import Session

from core.db.models import Dataset, Job
from core.db.types import db_now
from core.jobs.states import DATASET_QUEUE, JOB_HELD, PHASES, phases_of

_NEVER = datetime.min.replace(tzinfo=UTC)
_QUEUED = select(Job.id).where(Job.state == "queued")


@dataclass(frozen=True, kw_only=True)
class _Head:
    """The first job that an owner has waiting at a priority."""

    priority: int
    owner: str
    id: str
    last_start: datetime


def next_job(session: Session, phases: Iterable[str], *, running_limit: int) -> str | None:
    """The id of the job to be taken next, for one of `phases`; None if no owner has one that may run.

    Reads a few entries of indexes for each owner and priority with queued jobs, however many those are, and
    one for each job in work. Only of the jobs that are due again after a setback it reads every one's entry.
    """
    in_work = select(Job.owner, func.count()).where(Job.state.in_(JOB_HELD)).group_by(Job.owner)
    held_by = dict(session.execute(in_work).all())
    heads = [one for one in _heads(session, tuple(phases)) if held_by.get(one.owner, 0) < running_limit]

    def turn(one: _Head) -> tuple[int, int, datetime, str]:
        return -one.priority, held_by.get(one.owner, 0), one.last_start, one.id

    return min(heads, key=turn).id if heads else None


def next_dataset(session: Session) -> str | None:
    """The id of the data set to be read in next."""
    waiting = (
        select(Dataset.owner, func.min(Dataset.id).label("id"))
        .where(Dataset.state == "ingesting", Dataset.lease_until.is_(None), due(Dataset))
        .group_by(Dataset.owner)
    )
    heads = session.execute(waiting).all()
    in_work = (
        select(Dataset.owner, func.count())
        .where(Dataset.state == "ingesting", Dataset.lease_until.is_not(None))
        .group_by(Dataset.owner)
    )
    busy = dict(session.execute(in_work).all())
    return min((busy.get(row.owner, 0), str(row.id)) for row in heads)[1] if heads else None


def somebody_waits(session: Session, queue: str, *, running_limit: int) -> bool:
    """Whether a worker of this queue would find something to do."""
    if next_job(session, phases_of(queue), running_limit=running_limit):
        return True
    return queue == DATASET_QUEUE and next_dataset(session) is not None


def due(model: type[Job] | type[Dataset]) -> ColumnElement[bool]:
    """Nothing that went wrong before keeps the row waiting."""
    return or_(model.retry_at.is_(None), model.retry_at <= db_now())


def _heads(session: Session, phases: tuple[str, ...]) -> Iterator[_Head]:
    for priority, owner, started, *ids in session.execute(_of_heads(phases)):
        if found := [one for one in ids if one is not None]:
            yield _Head(priority=priority, owner=owner, id=min(found), last_start=started or _NEVER)


@lru_cache  # to make it takes longer than to run it
def _of_heads(phases: tuple[str, ...]) -> Select[Any]:
    """Priority, owner, that owner's last start, and ids: of the first job of each phase that never had a
    setback, and of the first that is due again after one."""
    lines = _lines()
    # Evaluated once: a clock that is asked for every row is no bound for an index.
    now = select(db_now()).scalar_subquery()
    firsts = []
    for phase in phases:
        jobs = _QUEUED.where(Job.priority == lines.c.priority, Job.owner == lines.c.owner, Job.phase == phase)
        # Sorted by `retry_at`, which is null: only so PostgreSQL sees the order that the index has.
        fresh = jobs.where(Job.retry_at.is_(None)).order_by(Job.retry_at, Job.id).limit(1)
        # Grouped, though into one: PostgreSQL may else look for the least id among all jobs of the owner.
        # And not null, which follows, for its estimate: of most jobs it is.
        again = jobs.where(Job.retry_at.is_not(None), Job.retry_at <= now).group_by(Job.phase)
        firsts += [fresh.scalar_subquery(), again.with_only_columns(func.min(Job.id)).scalar_subquery()]
    last_start = select(func.max(Job.started_at)).where(Job.owner == lines.c.owner).scalar_subquery()
    found = select(lines.c.priority, lines.c.owner, last_start, *firsts)
    return found.where(lines.c.owner.is_not(None))


def _lines() -> CTE:
    """Every priority and owner with queued jobs, from one pair to the next, past all jobs between them; after
    the last one a row of nulls."""
    first = _QUEUED.order_by(Job.priority, Job.owner).limit(1)
    columns = (Job.priority, Job.owner)
    lines = select(*(first.with_only_columns(one).scalar_subquery().label(one.key) for one in columns)).cte(
        "lines", recursive=True
    )
    # Compared as rows: of all indexes, only the line's has that order. SQLite begins at what is equal: behind
    # the last phase nothing is. And it compares no column of text in an index with another such column.
    end = tuple_(lines.c.priority, lines.c.owner.concat(""), max(PHASES) + "~")
    behind = first.where(tuple_(*columns, Job.phase) > end)
    onwards = (behind.with_only_columns(one).correlate(lines).scalar_subquery() for one in columns)
    return lines.union_all(select(*onwards).select_from(lines).where(lines.c.owner.is_not(None)))
