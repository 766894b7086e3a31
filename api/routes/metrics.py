"""Metrics on the API's own port, for whom its metrics are no secret."""

from fastapi import APIRouter, Header, Request, Response

from api.metrics import Metrics
from api.problems import responses
from api.security import Admin

router = APIRouter(include_in_schema=False)


@router.get("/metrics", response_class=Response, responses=responses())
def scrape(request: Request, _caller: Admin, accept: str = Header("")) -> Response:
    """In the format that Prometheus asks for."""
    metrics: Metrics = request.app.state.metrics
    text, media_type = metrics.scrape(accept)
    return Response(text, media_type=media_type)
