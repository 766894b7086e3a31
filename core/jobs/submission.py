"""Making a job, of whatever kind."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from core.catalogue import idempotency, rows
from core.catalogue.usage import admit_job
from core.db.models import CondensedSet, Dataset, Job
from core.errors import Conflict
from core.ids import new_id
from core.kinds import DEFAULT, KINDS
from core.kinds.kind import Cost, DataFacts, Inputs, Kind
from core.settings import Settings
from core.strict import Strict
from core.vocabulary import PRIORITIES
from core.work import wake_ups
from core.work.events import first_event


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What somebody asks for: a spec of a kind, on a data set and, if the kind takes one, a condensed set."""

    kind: Kind
    spec: Strict
    dataset_id: str
    condensed_set_id: str | None = None
    name: str | None = None
    priority: str = "normal"

    def request(self) -> dict[str, Any]:
        """By which a repetition is known; of a condensation, as before there were other kinds."""
        asked = self._with(self.spec.model_dump(mode="json"))
        if self.kind.name != DEFAULT:
            asked |= {"kind": self.kind.name, "condensed_set_id": self.condensed_set_id}
        return asked

    def request_as_before(self) -> dict[str, Any] | None:
        """The same as it was known before specs had fields that they have now; None if it asks for those."""
        older = self.kind.as_before(self.spec)
        return None if older is None else self._with(older)

    def _with(self, spec: dict[str, Any]) -> dict[str, Any]:
        return {
            "dataset_id": self.dataset_id,
            "name": self.name,
            "spec": spec,
            "priority": self.priority,
        }


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A spec with everything filled in, and what it costs."""

    spec: Strict
    cost: Cost
    data: DataFacts


def create_job(
    session: Session, owner: str, asked: Asked, *, settings: Settings, idempotency_key: str | None
) -> tuple[Job, bool]:
    """A queued job, and whether it is new.

    Raises:
        NotFound: no such data set or condensed set.
        Conflict: one of them is not ready.
        InvalidRequest: what is asked for cannot be done with them.
        QuotaExceeded: the owner has too many jobs or bytes already.
    """
    fresh = new_id("job")
    before = asked.request_as_before()
    job_id = idempotency.remember(session, owner, idempotency_key, asked.request(), fresh, as_before=before)
    if job_id != fresh:
        return rows.get(session, Job, owner, job_id), False
    dataset = rows.lock(session, Dataset, owner, asked.dataset_id)
    fitted = fit(session, owner, asked, dataset, settings)
    admit_job(session, owner, settings)
    first = asked.kind.phases_of(fitted.spec)[0]
    job = Job(
        id=fresh,
        owner=owner,
        kind=asked.kind.name,
        name=asked.name,
        dataset_id=dataset.id,
        condensed_set_id=asked.condensed_set_id,
        data_hash=dataset.content_hash,
        spec=fitted.spec.model_dump(mode="json"),
        state="queued",
        phase=first.name,
        queue=first.queue,
        priority=PRIORITIES.index(asked.priority),
        fence=0,
    )
    session.add(job)
    data = {"dataset_id": dataset.id, "iterations": getattr(fitted.spec, "iterations", None)}
    first_event(session, job, {name: value for name, value in data.items() if value is not None})
    session.flush()
    wake_ups.wake(session, job)
    session.refresh(job)
    return job, True


def fit(session: Session, owner: str, asked: Asked, dataset: Dataset, settings: Settings) -> Fitted:
    """What a job would be made of. Makes nothing.

    Raises:
        NotFound, Conflict, InvalidRequest: as `create_job`.
    """
    if dataset.state != "ready" or dataset.manifest is None or dataset.content_hash is None:
        raise Conflict(
            f"{dataset.id} is {dataset.state}: choose a data set that is ready",
            code="dataset_not_ready",
            dataset_state=dataset.state,
        )
    condensed = None
    if asked.condensed_set_id is not None:
        found = rows.lock(session, CondensedSet, owner, asked.condensed_set_id)
        if found.state != "ready":
            raise Conflict(
                f"{found.id} is {found.state}: choose a condensed set that is ready",
                code="condensed_set_not_ready",
                condensed_set_state=found.state,
            )
        condensed = {
            "id": found.id,
            "classes": (found.manifest or {}).get("classes"),
            "channels": found.channels,
            "image_size": found.image_size,
            "stored": found.stored,
            "decoded": found.decoded,
            "data_hash": found.data_hash,
        }
    data = DataFacts.of(dataset.manifest)
    inputs = Inputs(
        data=data,
        class_names=tuple(dataset.manifest["classes"]),
        max_ipc=settings.max_ipc,
        condensed=condensed,
    )
    spec = asked.kind.fit(asked.spec, inputs)
    return Fitted(spec=spec, cost=asked.kind.cost(spec, data), data=data)


def kind_of(job: Job) -> Kind:
    return KINDS[job.kind]
