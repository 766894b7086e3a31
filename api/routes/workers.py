"""The workers of the service, whoever's jobs they run."""

from fastapi import APIRouter

from api.deps import ReadSession
from api.pagination import Page, page_of
from api.problems import responses
from api.schemas.workers import WorkerOut
from api.security import Admin
from core.work.workers import all_workers

router = APIRouter(prefix="/v1/workers", tags=["workers"])


@router.get("", responses=responses())
def list_workers(_caller: Admin, session: ReadSession) -> Page[WorkerOut]:
    """All of them, newest first."""
    return page_of([WorkerOut.model_validate(row) for row in all_workers(session)], False)
