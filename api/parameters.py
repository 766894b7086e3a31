"""What a route understands, by its entry in the OpenAPI document: everything else is refused."""

from collections import Counter

from fastapi import Depends, FastAPI, Request
from fastapi.routing import iter_route_contexts

from core.errors import InvalidRequest


def _known_only(request: Request) -> None:
    """A misspelt filter that is ignored would answer a question that nobody asked."""
    given = request.query_params.multi_items()
    # A page is reached by links that others add their own parameters to.
    if not given or not request.scope["route"].include_in_schema:
        return
    known = _query_parameters(request)
    for name, times in Counter(name for name, _ in given).items():
        if name not in known:
            understood = f"it takes {', '.join(known)}" if known else "it takes none"
            raise InvalidRequest(
                f"this route has no query parameter {name[:80]!r}: {understood}",
                code="unknown_parameter",
                pointer=f"?{name[:80]}",
                known=known,
            )
        if times > 1:
            raise InvalidRequest(
                f"the query parameter {name!r} is given {times} times: give it once",
                code="repeated_parameter",
                pointer=f"?{name}",
            )


KnownOnly = Depends(_known_only)


def _query_parameters(request: Request) -> list[str]:
    app: FastAPI = request.app
    operation = app.openapi()["paths"][request.scope["route"].path_format][request.method.lower()]
    return [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]


def allowed_methods(request: Request) -> list[str]:
    """Of this path, by all of its routes."""
    methods: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.path_regex.match(request.scope["path"]):
            methods |= route.methods or set()
    return sorted(methods)
