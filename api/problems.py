"""Every error leaves as RFC 9457 `application/problem+json`."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from api.parameters import allowed_methods
from api.request_context import request_id
from api.tus.protocol import VERSION_HEADER, wrong_version
from core import errors
from core.db.session import is_unavailable, refuses_writes
from core.kinds import KINDS
from core.settings import Settings

log = structlog.get_logger(__name__)

_STATUS: dict[type[errors.CondenseryError], int] = {
    errors.Malformed: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.TooLarge: 413,
    errors.InvalidRequest: 422,
    errors.Locked: 423,
    errors.QuotaExceeded: 429,
    errors.ChecksumMismatch: 460,
    errors.Overloaded: 503,
    errors.StorageUnavailable: 503,
    errors.StorageFull: 507,
}
_HEADERS = {
    401: {"WWW-Authenticate": 'Bearer realm="condensery"'},
    503: {"Retry-After": "5"},
}
_CODES = {
    400: "malformed",
    404: "not_found",
    408: "body_too_slow",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
}


#: 460 is of tus, not of HTTP; the others have the names of RFC 9110, whatever Python's version calls them.
_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content", 460: "Checksum Mismatch"}

#: Faults that one answer names. A body of a megabyte can have a hundred thousand.
MAX_FAULTS = 100
MAX_NAMED = 10


def _phrase(status: int) -> str:
    return _PHRASES.get(status) or HTTPStatus(status).phrase


class FieldError(BaseModel):
    """One fault of a request: where (a JSON pointer, or `?name`, or `Header: name`) and what."""

    pointer: str
    detail: str


#: How pydantic puts it that a body is no object, as one that is not announced as JSON is not.
NOT_AN_OBJECT = ("dict_type", "model_attributes_type", "model_type")


class Problem(BaseModel):
    """RFC 9457. `code` is stable; further members name limits and values."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "code": "invalid_request",
                    "detail": "1 field is invalid: /ipc",
                    "errors": [
                        {"pointer": "/ipc", "detail": "Input should be greater than or equal to 1 (got 0)"}
                    ],
                    "request_id": "0193c0ffee",
                }
            ]
        },
    )

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldError] = []
    request_id: str


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route behind a key, for OpenAPI. What can be too large can be too slow, too."""
    slow = {408} if 413 in statuses else set()
    return answers(401, 403, 422, 500, 503, *slow, *statuses)


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _phrase(status), "content": content} for status in sorted(set(statuses))}


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    fields: list[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> JSONResponse:
    body = Problem(
        title=_phrase(status),
        status=status,
        code=code,
        detail=detail,
        errors=fields or [],
        request_id=request_id.get(),
        **context,
    )
    return JSONResponse(
        body.model_dump(), status, headers=dict(headers or {}), media_type="application/problem+json"
    )


def install(app: FastAPI) -> None:
    app.add_exception_handler(errors.CondenseryError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DBAPIError, _database_failed)
    app.add_exception_handler(PoolTimeout, _overloaded)
    app.add_exception_handler(Exception, _unexpected)


def _known(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.CondenseryError)
    status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 500)
    headers = dict(_HEADERS.get(status, {}))
    if error.code == "shutting_down":
        headers["Connection"] = "close"
    fields = [FieldError(pointer=error.pointer, detail=error.detail)] if error.pointer else None
    return problem(status, error.code, error.detail, fields=fields, headers=headers, **error.context)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = error.errors()
    if any(e["type"] == "json_invalid" for e in faults):
        return problem(400, "malformed", "the body is not JSON")
    if any(e["loc"] == ("header", VERSION_HEADER) for e in faults):
        return _http(request, wrong_version(request.headers.get(VERSION_HEADER)))
    fields = [FieldError(pointer=_pointer(e), detail=_sentence(e)) for e in faults[:MAX_FAULTS]]
    if any(e["type"] in NOT_AN_OBJECT and e["loc"][0] == "body" and not _pointer(e) for e in faults):
        given = request.headers.get("content-type")
        if (given or "").partition(";")[0].strip().lower() != "application/json":
            detail = (
                f"the body must be JSON, announced by Content-Type: application/json (got {given or 'none'})"
            )
            return problem(415, "unsupported_media_type", detail)
    if len(fields) == 1 and not fields[0].pointer:
        return problem(422, "invalid_request", fields[0].detail, fields=fields)
    named = ", ".join(field.pointer[:80] or "/" for field in fields[:MAX_NAMED])
    if len(faults) > MAX_NAMED:
        named += ", …"
    count = "1 field is" if len(faults) == 1 else f"{len(faults)} fields are"
    return problem(422, "invalid_request", f"{count} invalid: {named}", fields=fields)


def _pointer(error: Any) -> str:
    where, *path = error["loc"]
    if error["type"] == "unknown_kind":
        return "/kind"
    if where == "body":
        # What a body is read as, its kind, is no part of it.
        path = path[1:] if path and path[0] in KINDS else path
        return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
    name = ".".join(map(str, path))
    return {"query": f"?{name}", "header": f"Header: {name}"}.get(str(where), name)


def _sentence(error: Any) -> str:
    value = error.get("input")
    if error["type"] == "unknown_kind" and isinstance(value, dict):
        value = value.get("kind")
    shown = repr(value)[:80] if isinstance(value, str | int | float | bool | None) else None
    if error["type"] == "extra_forbidden":
        return "there is no such field"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{message} (got {shown})" if shown else message


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = error.headers
    if error.status_code == 404 and request.url.path.endswith("/"):
        return problem(404, "not_found", "no such address: leave out the slash at its end")
    if error.status_code == 405:
        headers = {**(headers or {}), "Allow": ", ".join(allowed_methods(request))}
    return http_problem(request.app.state.settings, error.status_code, str(error.detail), headers)


def http_problem(
    settings: Settings, status: int, text: str, headers: Mapping[str, str] | None
) -> JSONResponse:
    """What a library refused, in our words where its own name no limit."""
    phrase = _phrase(status)
    code = _CODES.get(status, phrase.lower().replace(" ", "_"))
    if status == 413:
        limit = settings.max_body_bytes
        return problem(413, code, f"the body is larger than the limit of {limit} bytes", limit=limit)
    return problem(status, code, text or phrase, headers=headers)


def _database_failed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DBAPIError)
    if not is_unavailable(error):
        return _unexpected(request, error)
    log.error("database not available", error=str(error.orig))
    what = "cannot be written to" if refuses_writes(error) else "does not answer"
    detail = f"the database {what}; try again"
    return problem(503, "database_unavailable", detail, headers=_HEADERS[503])


def _overloaded(_request: Request, error: Exception) -> JSONResponse:
    log.error("no connection to the database is free", error=str(error))
    detail = "every connection to the database is busy; try again"
    return problem(503, "overloaded", detail, headers=_HEADERS[503])


def _unexpected(_request: Request, error: Exception) -> JSONResponse:
    log.error("request failed", exc_info=error)
    return problem(500, "internal", "the server failed; its log has this request_id")
