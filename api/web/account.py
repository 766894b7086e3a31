"""Keys and usage."""

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from api.deps import AppSettings, ReadSession, WriteSession
from api.pagination import After, Page
from api.routes import keys as api
from api.routes import usage
from api.schemas.keys import KeyCreate, KeyOut
from api.security import Admin, Caller, Reader
from api.web.forms import Form
from api.web.rendering import render
from api.web.waiting import missing_queues
from core.catalogue import keys, rows
from core.catalogue.keys import SCOPES
from core.db.models import ApiKey
from core.db.session import after_commit
from core.vocabulary import QUEUES
from core.work.workers import all_workers

router = APIRouter(include_in_schema=False)

_ON_A_PAGE = 100
_DAYS = {"30": "30 days", "365": "a year", "": "never"}


@router.get("/usage")
def read_usage(request: Request, caller: Reader, session: ReadSession, settings: AppSettings) -> Response:
    # What the JSON API shows to the scope admin alone is shown to nobody else here.
    workers = all_workers(session) if "admin" in caller.scopes else None
    now = datetime.now(UTC)
    silent = {one.id for one in workers or () if (now - one.seen_at).total_seconds() > settings.lease_seconds}
    return render(
        request,
        "usage.html",
        caller,
        usage=usage.read_usage(caller, session, settings),
        workers=workers,
        silent=silent,
        missing=missing_queues(session, settings, QUEUES if workers is not None else ()),
    )


@router.get("/keys")
def list_keys(request: Request, caller: Admin, session: ReadSession, after: After = None) -> Response:
    page = api.list_keys(caller, session, limit=_ON_A_PAGE, after=after)
    return _page(request, caller, page, 200)


@router.post("/keys")
def create_key(request: Request, form: Form, caller: Admin, session: WriteSession) -> Response:
    """The page with the new key's token: it is shown in this answer only."""
    given = {name: form.one(name) for name in ("name", "scope", "days")}
    faults, made = {}, None
    if given["days"] not in _DAYS:
        faults["days"] = f"must be one of {', '.join(_DAYS.values())}"
    try:
        body = KeyCreate.model_validate({"name": given["name"], "scope": given["scope"]})
    except ValidationError as error:
        faults |= {str(fault["loc"][0]): str(fault["msg"]) for fault in error.errors()}
    if not faults:
        expires_at = datetime.now(UTC) + timedelta(days=int(given["days"])) if given["days"] else None
        made = keys.create_key(session, caller.owner, name=body.name, scope=body.scope, expires_at=expires_at)
        given = {}
    page = api.list_keys(caller, session, limit=_ON_A_PAGE)
    return _page(request, caller, page, 422 if faults else 201, made=made, faults=faults, given=given)


def _page(
    request: Request,
    caller: Caller,
    page: Page[KeyOut],
    status: int,
    *,
    made: tuple[ApiKey, str] | None = None,
    faults: dict[str, str] | None = None,
    given: dict[str, str] | None = None,
) -> Response:
    return render(
        request, "keys.html", caller, status=status, page=page, made=made, faults=faults or {},
        given=given or {}, scopes=SCOPES, days=_DAYS, now=datetime.now(UTC),
    )  # fmt: skip


@router.post("/keys/{key_id}/revoke")
def revoke_key(key_id: str, request: Request, caller: Admin, session: WriteSession) -> Response:
    keys.revoke_key(session, rows.get(session, ApiKey, caller.owner, key_id))
    after_commit(session, request.app.state.known_keys.forget)
    return RedirectResponse("/keys", 303)
