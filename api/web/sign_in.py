"""Signing in: an API key for a cookie, and out again."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from api.deps import ReadSession, WriteSession
from api.security import COOKIE, is_local_name, refuse_cross_origin
from api.web.forms import Form
from api.web.rendering import render
from core.catalogue import keys, sign_ins
from core.db.session import after_commit
from core.errors import Unauthenticated

router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
def ask_for_key(
    request: Request, session: ReadSession, next: Annotated[str, Query(max_length=2000)] = "/"
) -> Response:
    return render(
        request, "sign_in.html", None, next=_own_path(next), problem=None, needed=keys.any_key(session)
    )


@router.post("/sign-in")
def sign_in(request: Request, form: Form, session: WriteSession) -> Response:
    # Else another site could sign its visitor in as somebody else.
    refuse_cross_origin(request, origin_required=True)
    leads_to = _own_path(form.one("next"))
    problem = _why_the_cookie_would_not_be_kept(request)
    if problem is None:
        try:
            token = sign_ins.sign_in(session, keys.authenticate(session, form.one("key")))
        except Unauthenticated:
            problem = "This key is not valid: it may be mistyped, expired or revoked."
    if problem is not None:
        context = {"next": leads_to, "problem": problem, "needed": True}
        return render(request, "sign_in.html", None, status=422, **context)
    answer = RedirectResponse(leads_to, 303)
    answer.set_cookie(
        COOKIE, token, max_age=sign_ins.LASTS_SECONDS, path="/", secure=True, httponly=True, samesite="lax"
    )
    return answer


@router.post("/sign-out")
def sign_out(request: Request, session: WriteSession) -> Response:
    refuse_cross_origin(request, origin_required=True)
    if (token := request.cookies.get(COOKIE)) is not None:
        sign_ins.sign_out(session, token)
        after_commit(session, request.app.state.known_keys.forget)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return answer


def _why_the_cookie_would_not_be_kept(request: Request) -> str | None:
    """A browser drops it silently, and asks for the key again and again."""
    if request.headers.get("origin", "").startswith("http://") and not is_local_name(
        request.headers.get("host", "")
    ):
        return (
            "This page came without TLS, over which browsers keep no sign-in: put a proxy with TLS before "
            "the service, or open it on its own machine as http://localhost."
        )
    return None


def _own_path(address: str) -> str:
    """Never another site: `//host` and `/\\host` are."""
    inside = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if inside else "/"
