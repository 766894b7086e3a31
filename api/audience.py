"""Who an answer is for."""

from fastapi import Request


def wants_page(request: Request) -> bool:
    """Whether the answer is for a person: the JSON API answers everybody alike."""
    path = request.url.path
    accepts = request.headers.get("accept", "")
    return "text/html" in accepts and not path.startswith("/v1/") and path != "/openapi.json"
