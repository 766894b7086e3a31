"""Servers that are away, busy, newer, older or something else."""

import pytest

from condensery import ApiError, Client, ConnectionFailed, UnexpectedAnswer
from tests.integration.client.conftest import Script


def test_a_server_that_is_away_is_named() -> None:
    with (
        Client("http://127.0.0.1:1", retries=1) as client,
        pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:1"),
    ):
        client.usage()
    with pytest.raises(ValueError, match="must be as http"):
        Client("localhost:8000")


PROBLEM = b'{"status": %d, "code": "%s", "detail": "later"}'
USAGE = (
    b'{"stored_bytes": {"uploads": 1, "datasets": 2, "checkpoints": 3, "snapshots": 0, "artifacts": 4,'
    b' "pools": 0, "total": 10, "limit": null, "moons": 5}, "stars": 6,'
    b' "jobs": {"queued": 0, "queued_limit": 1, "running": 0, "running_limit": 1}}'
)


def test_retry_after_is_honoured_and_unknown_fields_are_kept(scripted: tuple[str, type[Script]]) -> None:
    url, script = scripted
    script.answers = [
        (503, {"Retry-After": "1"}, PROBLEM % (503, b"overloaded")),
        (429, {"Retry-After": "0"}, PROBLEM % (429, b"too_fast")),
        (502, {}, b"<html>a proxy"),
        (200, {}, USAGE),
    ]
    with Client(url) as client:
        found = client.usage()
    assert found.stored_bytes.total == 10
    assert (found.raw["stars"], found.stored_bytes.raw["moons"]) == (6, 5)


def test_a_quota_is_no_reason_to_wait(scripted: tuple[str, type[Script]]) -> None:
    url, script = scripted
    script.answers = [(429, {}, PROBLEM % (429, b"too_many_jobs"))]
    with Client(url) as client, pytest.raises(ApiError, match="429 too_many_jobs") as refused:
        client.usage()
    assert refused.value.retry_after is None


def test_who_does_not_wait_learns_how_long_to(scripted: tuple[str, type[Script]]) -> None:
    url, script = scripted
    script.answers = [(503, {"Retry-After": "7"}, PROBLEM % (503, b"overloaded"))]
    with Client(url, retries=0) as client, pytest.raises(ApiError) as refused:
        client.usage()
    assert refused.value.retry_after == 7


def test_every_try_of_a_post_has_the_same_key_and_every_call_another(
    scripted: tuple[str, type[Script]],
) -> None:
    url, script = scripted
    script.answers = [(503, {}, PROBLEM % (503, b"overloaded")), (200, {}, b"{}"), (200, {}, b"{}")]
    with Client(url) as client:
        client.post("/v1/anything", {})
        client.post("/v1/anything", {})
    first, again, other = script.keys
    assert first and first == again != other


def test_something_else_that_answers_is_named(scripted: tuple[str, type[Script]]) -> None:
    url, script = scripted
    script.answers = [
        (200, {"Content-Type": "text/html"}, b"<html>hello"),
        (302, {"Location": "/login"}, b""),
    ]
    with Client(url) as client:
        for said in ("200 text/html: <html>hello", "leads to /login"):
            with pytest.raises(UnexpectedAnswer, match=said):
                client.usage()
    script.answers = [(200, {}, b'{"jobs": {}}')]
    with Client(url) as client, pytest.raises(UnexpectedAnswer, match="older than this client"):
        client.usage()
