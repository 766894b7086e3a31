"""One address for one thing, and nothing in it that is ignored."""

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from core.db.session import Database
from tests.support.api import problem_of
from tests.support.calls import content_of

pytestmark = pytest.mark.one_database

KINDS = ("upload", "dataset", "job", "artifact", "condensed_set", "key", "webhook", "delivery")
IDS = {f"{kind}_id": f"{kind}_0" for kind in KINDS} | {"iteration": "5"}


def operations(app: FastAPI) -> list[tuple[str, str]]:
    return [
        (method, str(route.path))
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
        if route.include_in_schema
    ]


def test_unknown_parameter_is_named_with_the_known_ones(app: FastAPI, http: TestClient) -> None:
    for method, path in operations(app):
        refused = http.request(
            method, path.format(**IDS), params={"lmit": "1"}, **content_of((method, path), IDS)
        )
        assert refused.status_code == 422, (method, path)
        if method != "HEAD":
            problem = problem_of(refused, 422, "unknown_parameter")
            assert problem["errors"][0]["pointer"] == "?lmit"
    problem = problem_of(http.get("/v1/jobs?lmit=1"), 422, "unknown_parameter")
    assert problem["known"] == ["state", "kind", "dataset_id", "limit", "after"]
    assert "'lmit'" in problem["detail"]
    assert "state, kind, dataset_id, limit, after" in problem["detail"]


def test_parameter_that_is_given_twice(http: TestClient) -> None:
    problem = problem_of(http.get("/v1/jobs?limit=1&limit=2"), 422, "repeated_parameter")
    assert problem["errors"][0]["pointer"] == "?limit"


def test_slash_at_the_end_is_another_address(app: FastAPI, http: TestClient) -> None:
    for method, path in operations(app):
        if path == "/":
            continue
        refused = http.request(
            method, f"{path.format(**IDS)}/", follow_redirects=False, **content_of((method, path), IDS)
        )
        assert refused.status_code == 404, (method, path)
        if method != "HEAD":
            assert "slash" in problem_of(refused, 404, "not_found")["detail"]


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/uploads/up_0", "/v1/keys/key_0"])
def test_allow_names_every_method(app: FastAPI, http: TestClient, path: str, database: Database) -> None:
    template = path.replace("up_0", "{upload_id}").replace("key_0", "{key_id}")
    expected = {method for method, one in operations(app) if one == template}
    assert set(http.request("TRACE", path).headers["allow"].split(", ")) == expected
