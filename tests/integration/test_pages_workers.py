"""What pages say of workers that are not there."""

import httpx2
import pytest
from starlette.testclient import TestClient

from core.db.models import Job, Worker
from core.db.session import Database
from core.db.types import db_now
from core.ids import new_id
from core.work.workers import queues_served
from tests.support.api import bring, ingesting_dataset, queued_job, ready_dataset
from tests.support.pages import PAGE, text_of

pytestmark = pytest.mark.one_database

NONE = "No worker is running."
NO_GPU = "No worker that condenses and evaluates is running."
NO_CPU = "No worker that reads data sets and writes results is running."


def work(database: Database, *queues: str, seen: float = 0.0) -> None:
    with database.writing() as session:
        session.add(
            Worker(
                id=new_id("wk"), host="h", version="1", queues=list(queues), device="cpu",
                slots=dict.fromkeys(queues, 1), seen_at=db_now(-seen),
            )
        )  # fmt: skip


def notice(page: httpx2.Response) -> str | None:
    assert page.status_code == 200
    found = [one for one in (NONE, NO_GPU, NO_CPU) if one in text_of(page)]
    assert len(found) <= 1
    return found[0] if found else None


def test_a_worker_serves_its_queues_while_its_heart_beats(database: Database) -> None:
    work(database, "cpu")
    work(database, "gpu", "cpu", seen=100)
    with database.reading() as session:
        assert queues_served(session, 30) == {"cpu"}
        assert queues_served(session, 300) == {"cpu", "gpu"}


@pytest.mark.parametrize(
    ("served", "said"), [((), NONE), (("cpu",), NO_GPU), (("gpu",), None), (("cpu", "gpu"), None)]
)
def test_a_job_that_is_to_be_condensed_waits_for_a_device(
    http: TestClient, database: Database, served: tuple[str, ...], said: str | None
) -> None:
    job = queued_job(http, database)
    if served:
        work(database, *served)
    pages = [http.get(path, headers=PAGE) for path in ("/jobs", f"/jobs/{job}")]
    assert [notice(page) for page in pages] == [said, said]
    if said == NO_GPU:
        assert "<code>python -m worker gpu</code>" in pages[0].text


def test_a_job_whose_files_are_to_be_written_waits_for_a_processor(
    http: TestClient, database: Database
) -> None:
    job = queued_job(http, database)
    with database.writing() as session:
        session.get_one(Job, job).phase = "export"
    work(database, "gpu")
    page = http.get(f"/jobs/{job}", headers=PAGE)
    assert notice(page) == NO_CPU
    assert "<code>python -m worker cpu</code>" in page.text


def test_a_paused_job_waits_for_nobody(http: TestClient, database: Database) -> None:
    job = queued_job(http, database)
    bring(database, job, "paused")
    assert notice(http.get(f"/jobs/{job}", headers=PAGE)) is None
    assert notice(http.get("/jobs", headers=PAGE)) is None


def test_a_data_set_that_is_to_be_read_waits_for_a_processor(http: TestClient, database: Database) -> None:
    dataset = ingesting_dataset(http)["id"]
    work(database, "gpu")
    assert notice(http.get(f"/datasets/{dataset}", headers=PAGE)) == NO_CPU
    assert notice(http.get("/datasets", headers=PAGE)) == NO_CPU
    work(database, "cpu")
    assert notice(http.get(f"/datasets/{dataset}", headers=PAGE)) is None


def test_who_is_about_to_start_a_job_is_told(http: TestClient, database: Database) -> None:
    dataset = ready_dataset(http, database)
    assert notice(http.get(f"/jobs/new?dataset={dataset}", headers=PAGE)) == NONE
    work(database, "cpu")
    assert notice(http.get(f"/jobs/new?dataset={dataset}", headers=PAGE)) == NO_GPU
    assert notice(http.get("/usage", headers=PAGE)) == NO_GPU
    work(database, "gpu")
    assert notice(http.get(f"/jobs/new?dataset={dataset}", headers=PAGE)) is None
    assert notice(http.get("/usage", headers=PAGE)) is None
