"""Is the process alive, and can it do its work?"""

from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from api.audience import wants_page
from api.problems import answers
from core.db.migrate import is_current
from core.db.session import Database
from core.errors import StorageFull, StorageUnavailable
from core.storage import Storage
from core.version import __version__
from core.work.wake_ups import broker_answers
from core.work.workers import seconds_since_heartbeat

router = APIRouter(tags=["health"])


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    version: str = __version__


class Readiness(BaseModel):
    status: Literal["ready", "not_ready"]
    checks: dict[str, str] = Field(
        description="`ok`, or what is wrong. Without its broker the service is still ready."
    )
    workers: float | None = Field(
        description="Seconds since the last heartbeat of any worker; null if there is none. Without workers "
        "the service is ready, too: jobs wait."
    )


class Index(BaseModel):
    """Where to go from here."""

    name: Literal["condensery"] = "condensery"
    version: str = __version__
    openapi: str = "/openapi.json"
    resources: list[str] = [
        "/v1/uploads",
        "/v1/datasets",
        "/v1/jobs",
        "/v1/artifacts",
        "/v1/webhooks",
        "/v1/keys",
        "/v1/usage",
        "/v1/workers",
    ]


@router.get("/", response_model=Index, responses=answers(422))
def index(request: Request) -> Index | Response:
    """Where to go from here. A browser goes to the pages."""
    return RedirectResponse("/datasets", 303, {"Vary": "Accept"}) if wants_page(request) else Index()


@router.get("/healthz", responses=answers(422))
def healthz() -> Health:
    """The process answers."""
    return Health()


@router.get("/readyz", responses={**answers(422), 503: {"model": Readiness}})
def readyz(request: Request, response: Response) -> Readiness:
    """Database reachable, migrated and writable, storage writable, not shutting down: it can serve."""
    state = request.app.state
    workers, database = _database(state.database)
    needed = {"database": database, "storage": _storage(state.storage)}
    if state.draining:
        needed["server"] = "shutting down"
    ready = all(condition == "ok" for condition in needed.values())
    response.status_code = 200 if ready else 503
    reached = broker_answers(state.settings)
    return Readiness(
        status="ready" if ready else "not_ready",
        checks=needed | {"broker": "ok" if reached else "unreachable: jobs start later"},
        workers=workers,
    )


def _database(database: Database) -> tuple[float | None, str]:
    """Seconds since a worker's last heartbeat, and what is wrong with the database."""
    try:
        with database.reading() as session:
            if not is_current(session.connection()):
                return None, "not migrated: python -m core.db.migrate"
            workers = seconds_since_heartbeat(session)
        return workers, "ok" if database.takes_writes() else "read-only: nothing can be made or changed"
    except SQLAlchemyError:
        return None, "unreachable"


def _storage(storage: Storage) -> str:
    try:
        storage.check()
    except StorageUnavailable:
        return "unreachable"
    except (OSError, StorageFull):
        return "not writable"
    return "ok"
