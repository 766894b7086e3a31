"""Is the process alive, and can it do its work?"""

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api.problems import answers
from core.db.migrate import is_current
from core.db.session import Database
from core.errors import StorageFull, StorageUnavailable
from core.storage import Storage
from core.version import __version__

router = APIRouter(tags=["health"])


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    version: str = __version__


class Readiness(BaseModel):
    status: Literal["ready", "not_ready"]
    checks: dict[str, str]


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
        "/v1/keys",
        "/v1/usage",
    ]


@router.get("/", responses=answers(422))
def index() -> Index:
    """Where to go from here."""
    return Index()


@router.get("/healthz", responses=answers(422))
def healthz() -> Health:
    """The process answers."""
    return Health()


@router.get("/readyz", responses={**answers(422), 503: {"model": Readiness}})
def readyz(request: Request, response: Response) -> Readiness:
    """Database reachable and migrated, storage writable."""
    database: Database = request.app.state.database
    storage: Storage = request.app.state.storage
    checks = {"database": _database(database), "storage": _storage(storage)}
    ready = all(state == "ok" for state in checks.values())
    response.status_code = 200 if ready else 503
    return Readiness(status="ready" if ready else "not_ready", checks=checks)


def _database(database: Database) -> str:
    try:
        with database.reading() as session:
            session.execute(text("SELECT 1"))
            return "ok" if is_current(session.connection()) else "not migrated: python -m core.db.migrate"
    except SQLAlchemyError:
        return "unreachable"


def _storage(storage: Storage) -> str:
    try:
        storage.check()
    except StorageUnavailable:
        return "unreachable"
    except (OSError, StorageFull):
        return "not writable"
    return "ok"
