"""What a job reports over HTTP: its events, one by one and as a stream, and its metrics."""

from starlette.testclient import TestClient

from core.db.models import Event, Job, Metric
from core.db.session import Database
from core.work.transitions import record
from tests.support.api import (
    bring,
    problem_of,
    queued_job,
)


def add_events(database: Database, job_id: str, count: int) -> None:
    with database.writing() as session:
        for n in range(count):
            assert record(session, Job, job_id, "progress", {"iteration": n})


def test_events_are_paged_by_number(http: TestClient, database: Database) -> None:
    job_id = queued_job(http, database)
    add_events(database, job_id, 6)
    path, seen, after = f"/v1/jobs/{job_id}/events", [], 0
    for expected in ([1, 2, 3], [4, 5, 6], [7]):
        page = http.get(path, params={"limit": 3, "after": after}).json()
        assert [event["seq"] for event in page["data"]] == expected
        seen += page["data"]
        after = page["next"]
    assert after is None
    assert [event["data"]["iteration"] for event in seen[1:]] == list(range(6))


def stream_of(http: TestClient, job_id: str, **headers: str) -> list[dict[str, str]]:
    """The events of a stream that ends."""
    response = http.get(f"/v1/jobs/{job_id}/events/stream", headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = [block for block in response.text.split("\n\n") if block.strip()]
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


def test_stream_replays_resumes_and_ends(http: TestClient, database: Database) -> None:
    job_id = queued_job(http, database)
    add_events(database, job_id, 3)
    bring(database, job_id, "running", "succeeded")
    whole = stream_of(http, job_id)
    assert [event["event"] for event in whole] == ["queued", *["progress"] * 3, "running", "succeeded", "end"]
    assert [event["id"] for event in whole[:-1]] == ["1", "2", "3", "4", "5", "6"]
    final = http.get(f"/v1/jobs/{job_id}")
    assert whole[-1]["data"] == final.text
    assert stream_of(http, job_id, **{"Last-Event-ID": "4"}) == whole[4:]
    assert stream_of(http, job_id, **{"Last-Event-ID": "6"}) == whole[-1:]
    assert stream_of(http, job_id, **{"Last-Event-ID": "99"}) == whole[-1:]


def test_long_stream_is_whole(http: TestClient, database: Database) -> None:
    """More events than are read at once."""
    job_id = queued_job(http, database)
    with database.writing() as session:
        job = session.get_one(Job, job_id)
        job.event_seq = 1203
        events = [Event(subject_id=job_id, seq=n, owner=job.owner, type="x", data={}) for n in range(2, 1204)]
        session.add_all(events)
    bring(database, job_id, "cancelled")
    ids = [event["id"] for event in stream_of(http, job_id)[:-1]]
    assert ids == [str(n) for n in range(1, 1205)]


def test_last_event_id_that_is_none(http: TestClient, database: Database) -> None:
    path = f"/v1/jobs/{queued_job(http, database)}/events/stream"
    for value in ("-1", "x", str(2**31)):
        problem_of(http.get(path, headers={"Last-Event-ID": value}), 422, "invalid_request")


def test_metrics_are_paged_and_the_later_attempt_counts(http: TestClient, database: Database) -> None:
    job_id = queued_job(http, database)
    with database.writing() as session:
        for fence, iterations in ((1, range(1, 6)), (2, range(4, 8))):
            for iteration in iterations:
                session.add(
                    Metric(job_id=job_id, owner="local", fence=fence, x=iteration, value=fence, seconds=1)
                )
    path = f"/v1/jobs/{job_id}/metrics"
    first = http.get(path, params={"limit": 4}).json()
    rest = http.get(path, params={"limit": 4, "after": first["next"]}).json()
    points = first["data"] + rest["data"]
    assert [point["iteration"] for point in points] == [1, 2, 3, 4, 5, 6, 7]
    assert [point["loss"] for point in points] == [1, 1, 1, 2, 2, 2, 2]
    assert (first["has_more"], rest["has_more"]) == (True, False)
