"""A browser that is signed in: what its cookie opens, to whom, and for how long."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from starlette.testclient import TestClient

from api.security import COOKIE
from core.catalogue.keys import Scope, create_key
from core.db.models import ApiKey, Base, SignIn
from core.db.session import Database
from core.db.types import db_now
from tests.support.api import client_of, problem_of

pytestmark = pytest.mark.one_database

SAME = {"Origin": "https://condensery.example"}
PAGE = {"Accept": "text/html"}


def browser_of(app: FastAPI) -> TestClient:
    return client_of(app, peer="10.0.0.9", url="https://condensery.example")


def new_key(database: Database, scope: Scope = "admin", **values: Any) -> tuple[str, str]:
    """Id and token."""
    with database.writing() as session:
        key, token = create_key(session, "owner", name="x", scope=scope, **values)
        return key.id, token


def signed_in(http: TestClient, token: str, leads_to: str = "/") -> httpx2.Response:
    return http.post(
        "/sign-in", data={"key": token, "next": leads_to}, headers=SAME | PAGE, follow_redirects=False
    )


@pytest.fixture
def browser(app: FastAPI, database: Database) -> Iterator[TestClient]:
    with browser_of(app) as http:
        assert signed_in(http, new_key(database)[1]).status_code == 303
        yield http


def test_the_cookie_is_bound_to_this_host_and_out_of_reach_of_scripts(
    app: FastAPI, database: Database
) -> None:
    with browser_of(app) as http:
        [cookie] = signed_in(http, new_key(database)[1]).headers.get_list("set-cookie")
    assert cookie.startswith(f"{COOKIE}=") and COOKIE.startswith("__Host-")
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"path=/", "secure", "httponly", "samesite=lax"} <= attributes
    assert not any(one.startswith("domain") for one in attributes)


def test_the_cookie_opens_the_json_api_with_the_rights_of_its_key(app: FastAPI, database: Database) -> None:
    with browser_of(app) as http:
        signed_in(http, new_key(database, "read")[1])
        assert http.get("/v1/jobs").status_code == 200
        refused = http.put("/v1/uploads", content=b"x", headers=SAME)
        problem_of(refused, 403, "missing_scope")
        problem_of(http.get("/v1/keys"), 403, "missing_scope")


def test_a_key_in_the_header_goes_before_the_cookie(browser: TestClient) -> None:
    problem_of(browser.get("/v1/jobs", headers={"Authorization": "Bearer nonsense"}), 401)


def test_the_token_of_a_cookie_is_no_key(browser: TestClient) -> None:
    assert browser.get("/v1/jobs").status_code == 200  # remembered for a moment
    bearer = {"Authorization": f"Bearer {browser.cookies[COOKIE]}"}
    problem_of(browser.get("/v1/jobs", headers=bearer), 401, "unauthenticated")


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "https://condensery.example.evil.example"},
    {"Origin": "https://condensery.example:8443"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://condensery.example"},
    {},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_what_comes_from_another_site_changes_nothing(
    browser: TestClient, database: Database, headers: dict[str, str]
) -> None:
    for method, path, content in (
        ("PUT", "/v1/uploads", {"content": b"x"}),
        ("POST", "/v1/keys", {"json": {"name": "x"}}),
        ("DELETE", "/v1/jobs/job_0", {}),
        ("PATCH", "/v1/uploads/up_0", {"content": b"x"}),
        ("POST", "/keys", {"data": {"name": "x", "scope": "admin", "days": ""}}),
        ("POST", "/jobs/job_0/cancel", {}),
        ("POST", "/sign-out", {}),
    ):
        refused = browser.request(method, path, headers=headers, follow_redirects=False, **content)
        problem_of(refused, 403, "cross_origin")
    assert browser.get("/v1/uploads", headers=headers).json()["data"] == []
    with database.reading() as session:
        assert len(session.scalars(select(ApiKey)).all()) == 1


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, SAME])
def test_what_comes_from_its_own_pages_is_done(browser: TestClient, headers: dict[str, str]) -> None:
    assert browser.put("/v1/uploads", content=b"x", headers=headers).status_code == 201


def test_without_keys_another_sites_page_does_nothing_on_this_machine(http: TestClient) -> None:
    """No cookie is needed there, and a browser sends simple requests anywhere."""
    for headers in FOREIGN[:-1]:
        problem_of(http.put("/v1/uploads", content=b"x", headers=headers), 403, "cross_origin")
    assert http.put("/v1/uploads", content=b"x").status_code == 201  # curl says nothing


def test_it_ends_with_its_key(app: FastAPI, database: Database) -> None:
    key_id, token = new_key(database)
    _, other = new_key(database)
    with browser_of(app) as http, client_of(app, other) as admin:
        signed_in(http, token)
        assert http.get("/v1/jobs").status_code == 200
        assert admin.delete(f"/v1/keys/{key_id}").status_code == 204
        problem_of(http.get("/v1/jobs"), 401, "unauthenticated")


def test_it_ends_when_its_key_expires_or_its_own_time_is_over(app: FastAPI, database: Database) -> None:
    with browser_of(app) as http:
        _, token = new_key(database, expires_at=datetime.now(UTC) + timedelta(hours=1))
        signed_in(http, token)
        for outlived in (
            update(ApiKey).values(expires_at=db_now(-1)),
            update(SignIn).values(expires_at=db_now(-1)),
        ):
            assert http.get("/v1/jobs").status_code == 200
            with database.writing() as session:
                session.execute(outlived)
            app.state.known_keys.forget()
            problem_of(http.get("/v1/jobs"), 401)
            with database.writing() as session:
                session.execute(update(ApiKey).values(expires_at=db_now(60)))


def test_signing_out_ends_it_on_the_server(browser: TestClient, app: FastAPI, database: Database) -> None:
    token = browser.cookies[COOKIE]
    answer = browser.post("/sign-out", headers=SAME, follow_redirects=False)
    assert answer.status_code == 303
    assert COOKIE not in browser.cookies
    with browser_of(app) as thief:
        problem_of(thief.get("/v1/jobs", headers={"Cookie": f"{COOKIE}={token}"}), 401)
    with database.reading() as session:
        assert session.scalars(select(SignIn)).all() == []


def test_its_token_is_kept_nowhere(browser: TestClient, database: Database) -> None:
    with database.reading() as session:
        rows = [str(row) for table in Base.metadata.sorted_tables for row in session.execute(select(table))]
    assert not any(browser.cookies[COOKIE] in row for row in rows)


def test_a_key_that_is_none_is_said(app: FastAPI, database: Database) -> None:
    new_key(database)
    with browser_of(app) as http:
        answer = signed_in(http, "key_0.nonsense")
        assert answer.status_code == 422
        assert "This key is not valid" in answer.text
        assert "nonsense" not in answer.text
        assert COOKIE not in http.cookies


@pytest.mark.parametrize(
    "address",
    ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/\tx", "/\r\nSet-Cookie: x"],
)
def test_it_leads_to_no_other_site(app: FastAPI, database: Database, address: str) -> None:
    with browser_of(app) as http:
        assert signed_in(http, new_key(database)[1], address).headers["location"] == "/"


def test_where_the_browser_would_drop_the_cookie_it_is_said(app: FastAPI, database: Database) -> None:
    _, token = new_key(database)
    with client_of(app, peer="10.0.0.9", url="http://condensery.example") as http:
        refused = http.post(
            "/sign-in", data={"key": token}, headers=PAGE | {"Origin": "http://condensery.example"}
        )
        assert refused.status_code == 422
        assert "without TLS" in refused.text
        assert "set-cookie" not in refused.headers
    with client_of(app, url="http://localhost:8000") as http:
        made = http.post(
            "/sign-in",
            data={"key": token},
            headers={"Origin": "http://localhost:8000"},
            follow_redirects=False,
        )
        assert made.status_code == 303


def test_expired_sign_ins_are_forgotten(browser: TestClient, app: FastAPI, database: Database) -> None:
    with database.writing() as session:
        session.execute(update(SignIn).values(expires_at=db_now(-1)))
    with browser_of(app) as another:
        signed_in(another, new_key(database)[1])
    with database.reading() as session:
        assert len(session.scalars(select(SignIn)).all()) == 1
