"""Webhooks over HTTP: made, changed, tested, their secrets and their log."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from core.db.models import Webhook
from core.db.session import Database
from core.db.types import db_now
from core.settings import Settings, get_settings
from core.webhooks.deliveries import Outcome, settle
from tests.support.api import bring, client_of, problem_of, queued_job, token_of
from tests.support.hooks import cancelled_job, claim_due, deliveries_of, make_due, set_delivery

URL = "https://example.com/hook"


def made(http: TestClient, **body: Any) -> dict[str, Any]:
    response = http.post("/v1/webhooks", json={"url": URL, **body})
    assert response.status_code == 201, response.text
    webhook: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/v1/webhooks/{webhook['id']}"
    return webhook


def test_made_read_changed_deleted(http: TestClient) -> None:
    webhook = made(http, url="https://EXAMPLE.com/hook", events=["job.failed"], description="a")
    path = f"/v1/webhooks/{webhook['id']}"
    assert webhook.pop("secret").startswith("whsec_")
    assert webhook["id"].startswith("wh_")
    assert {**webhook, "id": "", "created_at": ""} == {
        "id": "", "created_at": "", "url": URL, "events": ["job.failed"], "description": "a", "enabled": True,
        "disabled_reason": None, "failing_since": None, "old_secret_until": None,
    }  # fmt: skip
    assert http.get(path).json() == webhook
    other = made(http)
    assert [one["id"] for one in http.get("/v1/webhooks").json()["data"]] == [other["id"], webhook["id"]]
    for change in ({"enabled": False}, {"events": None}, {"description": None, "url": f"{URL}2"}, {}):
        webhook |= change
        assert http.patch(path, json=change).json() == webhook
    assert http.get(path).json() == webhook
    assert http.delete(path).status_code == 204
    problem_of(http.get(path), 404, "not_found")
    assert len(http.get("/v1/webhooks").json()["data"]) == 1


FAULTS: list[tuple[dict[str, Any], int, str]] = [
    ({"url": "https://127.0.0.1/"}, 422, "webhook_url_refused"),
    ({"url": "https://0x7f.1/"}, 422, "webhook_url_refused"),
    ({"url": "http://example.com/"}, 422, "webhook_url_refused"),
    ({"url": "https://me:secret@example.com/"}, 422, "webhook_url_refused"),
    ({"url": ""}, 422, "invalid_request"),
    ({"url": None}, 422, "invalid_request"),
    ({"enabled": None}, 422, "invalid_request"),
    ({"events": []}, 422, "invalid_request"),
    ({"events": ["job.queued"]}, 422, "invalid_request"),
    ({"description": "x" * 201}, 422, "invalid_request"),
    ({"description": "a\x00b"}, 422, "invalid_request"),
    ({"secret": "mine"}, 422, "invalid_request"),
]


def test_faulty_bodies(http: TestClient) -> None:
    path = f"/v1/webhooks/{made(http)['id']}"
    for fault, status, code in FAULTS:
        problem = problem_of(http.post("/v1/webhooks", json={"url": URL, **fault}), status, code)
        assert "secret@" not in str(problem)
        problem = problem_of(http.patch(path, json=fault), status, code)
        assert "secret@" not in str(problem)
    assert len(http.get("/v1/webhooks").json()["data"]) == 1
    assert http.get(path).json()["url"] == URL


def test_an_owner_has_so_many(
    app: FastAPI, http: TestClient, database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.state.settings = settings.model_copy(update={"owner_webhooks": 2})
    for _ in range(2):
        last = made(http)
    problem = problem_of(http.post("/v1/webhooks", json={"url": URL}), 429, "too_many_webhooks")
    assert (problem["limit"], problem["value"]) == (2, 2)
    with client_of(app, token_of(database, "somebody.else")) as other:
        made(other)
    with client_of(app, token_of(database, "local")) as owner:
        assert owner.delete(f"/v1/webhooks/{last['id']}").status_code == 204
        made(owner)


def test_secrets_are_shown_once_and_the_old_one_signs_for_a_day(http: TestClient, database: Database) -> None:
    webhook = made(http)
    path = f"/v1/webhooks/{webhook['id']}"
    rotated = http.post(f"{path}/rotate-secret").json()
    assert rotated["secret"] != webhook["secret"]
    until = datetime.fromisoformat(rotated["old_secret_until"]) - datetime.now(UTC)
    assert timedelta(hours=23) < until < timedelta(hours=25)
    cancelled_job(database)
    (claimed,) = claim_due(database)
    assert claimed.secrets == (rotated["secret"], webhook["secret"])
    assert "whsec_" not in repr(claimed)
    shown = [
        http.get(path), http.get("/v1/webhooks"), http.patch(path, json={}), http.post(f"{path}/test"),
        http.get(f"{path}/deliveries"),
    ]  # fmt: skip
    assert all("whsec_" not in one.text and 'secret"' not in one.text for one in shown)
    with database.writing() as session:
        session.get_one(Webhook, webhook["id"]).old_secret_until = datetime.now(UTC) - timedelta(minutes=1)
    make_due(database, claimed.delivery_id)
    assert all(one.secrets == (rotated["secret"],) for one in claim_due(database))


def test_no_error_of_the_database_shows_a_secret(http: TestClient, database: Database) -> None:
    """Its text goes to the log."""
    made(http)
    with pytest.raises(Exception, match="webhooks") as failed, database.writing() as session:
        (row,) = session.scalars(select(Webhook))
        session.add(Webhook(id=row.id, owner="x", url="x", enabled=True, secret="whsec_" + "x" * 40))
        session.expunge(row)
        session.flush()
    assert "whsec_" not in str(failed.value)


def test_a_test_is_sent_whatever_is_wanted_and_logged(http: TestClient, database: Database) -> None:
    webhook = made(http, events=["job.failed"])
    path = f"/v1/webhooks/{webhook['id']}"
    response = http.post(f"{path}/test")
    assert response.status_code == 202
    delivery = response.json()
    assert response.headers["location"] == f"{path}/deliveries/{delivery['id']}"
    assert delivery["id"].startswith("dlv_")
    assert (delivery["event_type"], delivery["state"], delivery["attempts"]) == ("webhook.test", "pending", 0)
    assert delivery["payload"]["data"]["id"] == webhook["id"]
    assert http.get(response.headers["location"]).json() == delivery
    http.patch(path, json={"enabled": False})
    problem_of(http.post(f"{path}/test"), 409, "webhook_disabled")
    assert claim_due(database) == []
    http.patch(path, json={"enabled": True})
    assert len(claim_due(database)) == 1


def test_the_log(http: TestClient, database: Database) -> None:
    webhook = made(http)
    path = f"/v1/webhooks/{webhook['id']}/deliveries"
    made(http)  # has a log of its own
    bring(database, queued_job(http, database), "running", "succeeded")
    first = http.get(path, params={"limit": 2}).json()
    assert [one["event_type"] for one in first["data"]] == ["job.succeeded", "job.running"]
    links = first["data"][0]["payload"]["data"]["links"]
    assert http.get(links["self"]).json()["state"] == "succeeded"
    assert http.get(links["artifacts"]).status_code == 200
    assert first["has_more"]
    rest = http.get(path, params={"after": first["next"]}).json()
    assert [one["event_type"] for one in rest["data"]] == ["dataset.ready"]
    for claimed in claim_due(database):
        if claimed.delivery_id == first["data"][0]["id"]:
            with database.writing() as session:
                assert settle(session, claimed, Outcome(status=500, error="its target answered 500"))
    newest = http.get(f"{path}/{first['data'][0]['id']}").json()
    assert (newest["attempts"], newest["last_status"], newest["last_error"]) == (
        1,
        500,
        "its target answered 500",
    )
    assert newest["last_attempt_at"] < newest["next_attempt_at"]
    assert http.get(path, params={"state": "failed"}).json()["data"] == []
    assert len(http.get(path, params={"state": "pending"}).json()["data"]) == 3
    problem_of(http.get(path, params={"state": "lost"}), 422, "invalid_request")


def test_redelivery(http: TestClient, database: Database) -> None:
    webhook, other = made(http), made(http, enabled=False)
    cancelled_job(database)
    path = f"/v1/webhooks/{webhook['id']}"
    (claimed,) = claim_due(database)
    again = f"{path}/deliveries/{claimed.delivery_id}/redeliver"
    assert "being sent" in problem_of(http.post(again), 409, "conflict")["detail"]
    with database.writing() as session:
        assert settle(session, claimed, Outcome(status=200))
    for _ in range(2):  # asked twice, sent once
        response = http.post(again)
        assert response.status_code == 202
        assert (response.json()["state"], response.json()["delivered_at"]) == ("pending", None)
    (second,) = claim_due(database)
    assert (second.delivery_id, second.attempt, second.body) == (claimed.delivery_id, 2, claimed.body)
    with database.writing() as session:
        assert settle(session, second, Outcome(status=500, error="x"))
    (delivery,) = deliveries_of(database, webhook["id"])
    assert delivery.next_attempt_at and delivery.next_attempt_at < datetime.now(UTC) + timedelta(seconds=10)
    set_delivery(database, delivery.id, state="failed", attempts=10, next_attempt_at=None)
    assert http.post(again).json()["state"] == "pending"
    (third,) = claim_due(database)
    with database.writing() as session:
        assert settle(session, third, Outcome(status=500, error="x"))
    assert deliveries_of(database, webhook["id"])[0].state == "pending"
    set_delivery(database, delivery.id, claimed_until=db_now(-1))
    http.patch(path, json={"enabled": False})
    problem_of(http.post(again), 409, "webhook_disabled")
    problem_of(http.post(again.replace(webhook["id"], other["id"])), 404, "not_found")


def test_the_settings_allow_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDENSERY_WEBHOOK_ALLOWED_HOSTS", '["hooks.internal", "10.0.0.0/8"]')
    get_settings.cache_clear()
    assert get_settings().webhook_allowed_hosts == ["hooks.internal", "10.0.0.0/8"]
    get_settings.cache_clear()
