"""The pages without a browser: every route × who may not, what is escaped, and what each answer carries."""

from collections.abc import Iterator

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from api.web.job_form import settings as form_settings
from api.web.rendering import CONTENT_SECURITY_POLICY
from core.catalogue.keys import Scope, create_key
from core.db.models import CondensedSet, Dataset, Job
from core.db.session import Database
from core.ids import new_id
from core.storage.local import LocalStorage
from tests.support.api import client_of, problem_of, ready_dataset
from tests.support.populated import Rows, populate

pytestmark = pytest.mark.one_database

PAGE = {"Accept": "text/html,application/xhtml+xml"}
#: What anybody may see.
PUBLIC = {"/sign-in", "/sign-out", "/static/{version}/{path:path}", "/openapi.json"}
ADMINS = ("/keys",)
WRITERS = ("/jobs/new",)
SCRIPT = "<script>alert(1)</script>"


def pages(app: FastAPI) -> list[tuple[str, str]]:
    """(method, path template)"""
    found = sorted(
        (method, str(route.path))
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
        if not str(route.path).startswith("/v1/")
        and str(route.path) not in {*PUBLIC, "/", "/healthz", "/readyz", "/metrics"}
        and method != "HEAD"
    )
    assert len(found) >= 17
    return found


@pytest.fixture
def rows(http: TestClient, database: Database, storage: LocalStorage, app: FastAPI) -> Iterator[Rows]:
    with client_of(app) as owner:
        yield populate(owner, database, storage, "owner", 1)


def call(
    http: TestClient, operation: tuple[str, str], ids: dict[str, str], accept: dict[str, str]
) -> httpx2.Response:
    method, path = operation
    data = {"ipc": "1"} if method == "POST" else None
    query = f"?dataset={ids['dataset_id']}" if path == "/jobs/new" else ""
    return http.request(method, path.format(**ids) + query, headers=accept, follow_redirects=False, data=data)


def test_who_is_not_signed_in_is_asked_to(app: FastAPI, rows: Rows) -> None:
    with client_of(app) as http:
        for operation in pages(app):
            answer = call(http, operation, rows.first(), PAGE)
            assert answer.status_code == 303, operation
            assert answer.headers["location"].startswith("/sign-in?next=%2F"), operation
            problem_of(call(http, operation, rows.first(), {}), 401, "unauthenticated")
        assert http.get("/sign-in").status_code == 200


@pytest.mark.parametrize("scope", ["read", "write"])
def test_with_too_narrow_a_scope(app: FastAPI, database: Database, rows: Rows, scope: Scope) -> None:
    with database.writing() as session:
        _, token = create_key(session, "owner", name="x", scope=scope)
    refused = 0
    with client_of(app, token) as http:
        for operation in pages(app):
            method, path = operation
            writes = method == "POST" or path in WRITERS
            if path.startswith(ADMINS) or (scope == "read" and writes):
                answer = call(http, operation, rows.first(), PAGE)
                assert answer.status_code == 403, operation
                assert "Sign in with a key that may do this" in answer.text
                refused += 1
            elif method == "GET":
                assert call(http, operation, rows.first(), PAGE).status_code == 200, operation
    assert refused >= {"read": 10, "write": 3}[scope]


def test_what_is_not_the_callers_is_absent(app: FastAPI, database: Database, rows: Rows) -> None:
    with database.writing() as session:
        _, token = create_key(session, "stranger", name="x", scope="admin")
    named = 0
    with client_of(app, token) as stranger:
        for operation in pages(app):
            if "{" not in operation[1] and operation[1] != "/jobs/new":
                if operation[0] == "GET":
                    shown = call(stranger, operation, rows.first(), PAGE).text
                    assert not any(one in shown for one in rows.first().values()), operation
                continue
            for ids in (rows.first(), {kind: new_id("job") for kind in rows.first()}):
                answer = call(stranger, operation, ids, PAGE)
                assert answer.status_code == 404, operation
                named += 1
        compared = stranger.get("/compare", params={"job": rows.job_id[0]}, headers=PAGE)
        assert compared.status_code == 404
    assert named >= 20
    with client_of(app, rows.token) as owner:
        for job_id in rows.job_id:
            assert owner.get(f"/v1/jobs/{job_id}").status_code == 200


def test_every_page_carries_its_protection(app: FastAPI, rows: Rows) -> None:
    with client_of(app, rows.token) as http:
        for operation in pages(app):
            if operation[0] == "GET":
                headers = call(http, operation, rows.first(), PAGE).headers
                assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY, operation
                assert headers["x-content-type-options"] == "nosniff"
                assert headers["referrer-policy"] == "same-origin"
                assert headers["cache-control"] == "no-store"
    assert "unsafe-inline" not in CONTENT_SECURITY_POLICY
    assert "frame-ancestors 'none'" in CONTENT_SECURITY_POLICY


def test_names_are_text_wherever_they_are_shown(
    app: FastAPI, database: Database, rows: Rows, storage: LocalStorage
) -> None:
    with database.writing() as session:
        for dataset in session.query(Dataset):
            dataset.name = dataset.license = SCRIPT
            if dataset.manifest:
                report = {"warnings": [{"code": "odd", "detail": SCRIPT}], "suggestions": {"ipc": [1]}}
                dataset.manifest = {
                    **dataset.manifest, "classes": [SCRIPT, "b"], "source_format": SCRIPT,
                    "split_rule": SCRIPT, "report": report,
                }  # fmt: skip
        for job in session.query(Job):
            job.name = SCRIPT
        for one in session.query(CondensedSet):
            one.name = one.license = SCRIPT
            if one.manifest:
                findings = [{"severity": "note", "code": "odd", "detail": SCRIPT}]
                named = {"classes": [SCRIPT, "b"], "layout": SCRIPT, "findings": findings}
                one.manifest = {**one.manifest, **named}
    shown = 0
    with client_of(app, rows.token) as http:
        assert http.post("/v1/keys", json={"name": SCRIPT}).status_code == 201
        for operation in pages(app):
            if operation[0] == "GET":
                text = call(http, operation, rows.first(), PAGE).text
                assert "<script>alert" not in text, operation
                shown += "&lt;script&gt;alert" in text
        compared = http.get("/compare", params={"job": rows.job_id[:2]}, headers=PAGE).text
    assert "<script>alert" not in compared and "&lt;script&gt;" in compared
    assert shown >= 9


def test_errors_are_pages_for_browsers_and_problems_for_all_others(http: TestClient) -> None:
    page = http.get("/nothing", headers=PAGE)
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert page.headers["x-request-id"] in page.text
    problem_of(http.get("/nothing"), 404, "not_found")
    problem_of(http.get("/v1/jobs/job_0", headers=PAGE), 404, "not_found")
    problem_of(http.get("/v1/nothing", headers=PAGE), 404, "not_found")
    wrong = http.put("/datasets", headers=PAGE)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")
    assert http.get("/datasets?after=%22", headers=PAGE).status_code == 422


def test_the_root_leads_a_browser_to_the_pages(http: TestClient) -> None:
    answer = http.get("/", headers=PAGE, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/datasets")
    assert http.get("/").json()["name"] == "condensery"


def test_static_files_are_kept_for_good_under_the_address_of_their_version(http: TestClient) -> None:
    page = http.get("/datasets", headers=PAGE).text
    [address] = {part for part in page.split('"') if part.endswith("page.css")}
    style = http.get(address)
    assert style.headers["content-type"].startswith("text/css")
    assert "immutable" in style.headers["cache-control"]
    old = address.replace(address.split("/")[2], "0" * 16)
    assert http.get(old).headers["cache-control"] == "no-cache"
    for path in ("../rendering.py", "..%2frendering.py", "page.css/", "nothing"):
        assert http.get(f"/static/x/{path}").status_code == 404


def test_the_form_asks_for_every_setting_of_the_schema(http: TestClient, database: Database) -> None:
    dataset = ready_dataset(http, database)
    page = http.get(f"/jobs/new?dataset={dataset}", headers=PAGE).text
    names = {one.name for one in form_settings("condense", {})}
    assert {"ipc", "recipe", "lr_decay", "network.width", "evaluation.cross_architecture"} <= names
    assert all(f'name="{name}"' in page for name in names)


def test_the_form_makes_the_job_that_it_shows_once(http: TestClient, database: Database) -> None:
    dataset = ready_dataset(http, database)
    form = {
        "ipc": "2", "recipe": "fast", "name": "mine", "network.width": "16", "priority": "high", "once": "a1",
        "evaluation.baselines": ["random", "herding"], "evaluation.cross_architecture": ["alexnet"],
        "lr": "", "seed": "7",
    }  # fmt: skip
    made = [
        http.post(f"/jobs/new?dataset={dataset}", data=form, headers=PAGE, follow_redirects=False)
        for _ in range(2)
    ]
    assert [one.status_code for one in made] == [303, 303]
    assert made[0].headers["location"] == made[1].headers["location"]
    job = http.get(f"/v1{made[0].headers['location']}").json()
    assert (job["name"], job["priority"], job["spec"]["ipc"], job["spec"]["seed"]) == ("mine", "high", 2, 7)
    assert job["spec"]["network"]["width"] == 16
    assert job["spec"]["evaluation"]["baselines"] == ["random", "herding"]
    assert [one["name"] for one in job["spec"]["evaluation"]["cross_architecture"]] == ["alexnet"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"ipc": "0"}, "greater than or equal to 1"),
        ({"ipc": "9999"}, "the limit for this data set is 10"),
        ({"ipc": "x"}, "valid integer"),
        ({"ipc": "1", "augment": "blur"}, "not one of"),
        ({"ipc": "1", "network.depth": "8"}, "the limit for images of"),
        ({"ipc": "1", "network.name": "mlp", "network.width": "8"}, "only for convnet"),
    ],
)
def test_the_form_says_what_is_wrong_and_keeps_what_was_filled_in(
    http: TestClient, database: Database, fault: dict[str, str], said: str
) -> None:
    dataset = ready_dataset(http, database)
    answer = http.post(f"/jobs/new?dataset={dataset}", data={"name": "kept", **fault}, headers=PAGE)
    assert answer.status_code == 422
    assert said in answer.text
    assert 'value="kept"' in answer.text
    assert http.get("/v1/jobs").json()["data"] == []
