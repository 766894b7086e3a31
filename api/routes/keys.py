"""API keys. The first may be made without one, from this machine; from then on every call needs one."""

from fastapi import APIRouter, Request, Response

from api.deps import ReadSession, WriteSession
from api.pagination import After, Limit, Page, page_of
from api.problems import responses
from api.schemas.keys import KeyCreate, KeyCreated, KeyOut
from api.security import Admin
from core.catalogue import keys, rows
from core.db.models import ApiKey
from core.db.session import after_commit

router = APIRouter(prefix="/v1/keys", tags=["keys"])


@router.post("", status_code=201, responses=responses(400, 413, 415))
def create(body: KeyCreate, response: Response, caller: Admin, session: WriteSession) -> KeyCreated:
    """Make a key. Its token is in this answer only."""
    owner = body.owner or caller.owner
    key, token = keys.create_key(session, owner, name=body.name, scope=body.scope, expires_at=body.expires_at)
    response.headers["Location"] = f"/v1/keys/{key.id}"
    return KeyCreated(**KeyOut.model_validate(key).model_dump(), token=token)


@router.get("", responses=responses())
def list_keys(caller: Admin, session: ReadSession, limit: Limit = 50, after: After = None) -> Page[KeyOut]:
    """Newest first, revoked and expired ones too."""
    found, more = rows.page(session, ApiKey, caller.owner, limit=limit, after=after)
    return page_of([KeyOut.model_validate(row) for row in found], more)


@router.get("/{key_id}", responses=responses(404))
def read_key(key_id: str, caller: Admin, session: ReadSession) -> KeyOut:
    """Everything but the token."""
    return KeyOut.model_validate(rows.get(session, ApiKey, caller.owner, key_id))


@router.delete("/{key_id}", status_code=204, responses=responses(404))
def revoke(key_id: str, caller: Admin, session: WriteSession, request: Request) -> None:
    """Revoke it for good: at once, or within a second where the API runs as several processes. It stays
    in the list."""
    keys.revoke_key(session, rows.get(session, ApiKey, caller.owner, key_id))
    after_commit(session, request.app.state.known_keys.forget)
