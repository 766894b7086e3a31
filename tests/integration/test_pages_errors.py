"""Errors as pages: each says what to do next, and leads on."""

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api import problems
from api.web import errors
from core.db.session import Database
from tests.support.api import client_of, token_of
from tests.support.pages import PAGE, part_of, text_of

pytestmark = pytest.mark.one_database


def test_every_status_that_a_problem_can_have_has_its_next_step() -> None:
    statuses = {*problems._STATUS.values(), *problems._CODES, 500}
    assert statuses - {401} <= set(errors._NEXT), "who is not signed in is asked to"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "said"),
    [
        ("PUT", "/datasets", {}, 405, "not for opening"),
        ("POST", "/keys", {"Content-Type": "text/plain"}, 415, "send its own form"),
        ("POST", "/keys", {"Content-Type": "application/x-www-form-urlencoded"}, 400, "send it again"),
    ],
)
def test_what_to_do_next_is_said(
    http: TestClient, method: str, path: str, headers: dict[str, str], status: int, said: str
) -> None:
    answer = http.request(method, path, content=b"\xff=%ff", headers=PAGE | headers)
    assert answer.status_code == status
    assert said in text_of(part_of(answer, '<div class="notice bad"', "</div>"))


def test_from_another_machine_while_there_are_no_keys_it_does_not_lead_in_a_circle(app: FastAPI) -> None:
    with client_of(app, peer="10.0.0.9", url="http://condensery.example:8000") as http:
        refused = http.get("/datasets", headers=PAGE)
    assert refused.status_code == 403
    said = text_of(refused)
    assert f"http://localhost:{app.state.settings.port}" in said
    assert "python -m core.admin keys create" in said
    assert "/sign-in" not in refused.text, "which would say that no key is needed"
    assert "Sign in with a key" not in said


def test_who_lacks_a_scope_is_led_to_sign_in(app: FastAPI, database: Database) -> None:
    with client_of(app, token_of(database, "owner", "read")) as http:
        refused = http.get("/keys", headers=PAGE)
    assert refused.status_code == 403
    assert 'href="/sign-in"' in refused.text
    assert ">owner</span>" in refused.text, "whose key this is"


def test_an_error_keeps_the_ways_to_other_pages_for_who_is_known(app: FastAPI, database: Database) -> None:
    ways = '<nav aria-label="Pages">'
    with client_of(app) as local:
        assert ways in local.get("/nothing", headers=PAGE).text
    token = token_of(database, "owner")
    with client_of(app, token) as known, client_of(app) as unknown:
        for path in ("/nothing", "/jobs/job_0", "/datasets?after=%22"):
            page = known.get(path, headers=PAGE)
            assert page.status_code in (404, 422)
            assert ways in page.text and ">owner</span>" in page.text
        assert ways not in unknown.get("/nothing", headers=PAGE).text
        assert ways not in known.get("/nothing", headers=PAGE | {"Authorization": "Bearer x"}).text
