"""Downloads."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from api.deps import AppStorage, ReadSession
from api.pagination import After, IdFilter, Limit, Page, page_of
from api.problems import responses
from api.schemas.artifacts import ArtifactOut
from api.security import Reader
from api.server.downloads import send_artifact
from core.catalogue import rows
from core.db.models import Artifact

router = APIRouter(prefix="/v1/artifacts", tags=["artifacts"])


@router.get("", responses=responses())
def list_artifacts(
    caller: Reader,
    session: ReadSession,
    job_id: IdFilter = None,
    condensed_set_id: IdFilter = None,
    format: IdFilter = None,
    limit: Limit = 50,
    after: After = None,
) -> Page[ArtifactOut]:
    """Newest first, of all jobs and condensed sets or of one."""
    filters = [Artifact.job_id == job_id] if job_id else []
    if condensed_set_id:
        filters.append(Artifact.condensed_set_id == condensed_set_id)
    if format:
        filters.append(Artifact.format == format)
    found, more = rows.page(session, Artifact, caller.owner, *filters, limit=limit, after=after)
    return page_of([ArtifactOut.model_validate(row) for row in found], more)


@router.get("/{artifact_id}", responses=responses(404))
def read_artifact(artifact_id: str, caller: Reader, session: ReadSession) -> ArtifactOut:
    """Name, size and digest; the bytes are at `/content`."""
    return ArtifactOut.model_validate(rows.get(session, Artifact, caller.owner, artifact_id))


_DOWNLOAD: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}}},
    206: {"description": "The range asked for"},
    304: {"description": "The client's copy (If-None-Match) is the same"},
    **responses(400, 404, 416),
}


@router.head("/{artifact_id}/content", response_class=StreamingResponse, responses=_DOWNLOAD)
@router.get("/{artifact_id}/content", response_class=StreamingResponse, responses=_DOWNLOAD)
def download(
    artifact_id: str, request: Request, caller: Reader, session: ReadSession, storage: AppStorage
) -> Response:
    """The bytes: with ranges (`curl -C -` resumes), a strong ETag and `Repr-Digest`."""
    artifact = rows.get(session, Artifact, caller.owner, artifact_id)
    return send_artifact(request, artifact, storage)
