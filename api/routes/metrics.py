"""Metrics on the API's own port, for whom its metrics are no secret."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import PlainTextResponse

from api.metrics import Metrics
from api.problems import responses
from api.security import Admin

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=PlainTextResponse, responses=responses())
def scrape(request: Request, _caller: Admin, accept: Annotated[str, Header()] = "") -> Response:
    """In the format that Prometheus asks for."""
    metrics: Metrics = request.app.state.metrics
    text, media_type = metrics.scrape(accept)
    return Response(text, media_type=media_type)
