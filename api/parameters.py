"""What a route understands, by its entry in the OpenAPI document: everything else is refused."""

from collections import Counter

from fastapi import Depends, Request
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts

from core.errors import InvalidRequest


def _known_only(request: Request) -> None:
    """A misspelt filter that is ignored would answer a question that nobody asked."""
    given = request.query_params.multi_items()
    # A page is reached by links that others add their own parameters to.
    if not given or not request.scope["route"].include_in_schema:
        return
    known = _query_parameters(request.scope["route"], request.method)
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


#: By a route's own id and the method, once somebody has asked.
_known: dict[tuple[str, str], list[str]] = {}


def _query_parameters(route: APIRoute, method: str) -> list[str]:
    key = route.unique_id, method
    if key not in _known:
        # Of this route alone: whoever asks first would wait for the document of all.
        document = get_openapi(title="", version="", routes=[route])
        operation = document["paths"][route.path_format][method.lower()]
        _known[key] = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
    return _known[key]


def allowed_methods(request: Request) -> list[str]:
    """Of this path, by all of its routes."""
    methods: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.path_regex.match(request.scope["path"]):
            methods |= route.methods or set()
    return sorted(methods)
