"""A service with something behind every route: what tests that call all of them start from."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from core.catalogue.keys import create_key
from core.db.models import Dataset, Job, Metric, Snapshot
from core.db.session import Database
from core.db.types import db_now
from core.storage.local import LocalStorage
from core.work.files import snapshot_key
from core.work.transitions import move
from tests.support.api import SMALL, add_artifact, bring, make_ready
from tests.support.leased import done_trial
from tests.support.leased import point as curve_point
from tests.support.sets import add_set

PICTURE = b"\x89PNG\r\n\x1a\n"
#: Of the one snapshot of a finished job.
ITERATION = 5
POINTS = {"evaluation": {"points": 4}}
TUS = {"Tus-Resumable": "1.0.0"}


@dataclass
class Rows:
    """Ids by kind, of one owner."""

    token: str
    key_id: list[str] = field(default_factory=list)
    upload_id: list[str] = field(default_factory=list)
    dataset_id: list[str] = field(default_factory=list)
    job_id: list[str] = field(default_factory=list)
    condensed_set_id: list[str] = field(default_factory=list)
    artifact_id: list[str] = field(default_factory=list)
    webhook_id: list[str] = field(default_factory=list)
    delivery_id: list[str] = field(default_factory=list)

    def first(self) -> dict[str, str]:
        """One of each kind, by the name of its path parameter."""
        return {
            "key_id": self.key_id[0],
            "upload_id": self.upload_id[0],
            "dataset_id": self.dataset_id[0],
            "job_id": self.job_id[0],
            "condensed_set_id": self.condensed_set_id[0],
            "artifact_id": self.artifact_id[0],
            "webhook_id": self.webhook_id[0],
            "delivery_id": self.delivery_id[0],
        }


def populate(http: httpx2.Client, database: Database, storage: LocalStorage, owner: str, each: int) -> Rows:
    """`each` times: an upload, one that has begun, a ready and an ingesting data set, a queued, a running and
    a finished job with its results, a snapshot and an artifact, two ready condensed sets and one that waits
    to be read, a webhook with a delivery, and a key besides the one that `http` shall use."""
    with database.writing() as session:
        rows = Rows(create_key(session, owner, name="own", scope="admin")[1])
    http.headers["Authorization"] = f"Bearer {rows.token}"
    for number in range(each):
        rows.key_id.append(_made(http, "POST", "/v1/keys", json={"name": "spare"}))
        rows.upload_id.append(_made(http, "PUT", "/v1/uploads", content=f"{owner} {number}".encode()))
        begun = {**TUS, "Upload-Length": "1000"}
        rows.upload_id.append(_made(http, "POST", "/v1/uploads", headers=begun))
        source = {"upload_id": rows.upload_id[-2]}
        ready, ingesting = (_made(http, "POST", "/v1/datasets", json=source) for _ in range(2))
        rows.dataset_id += [ready, ingesting]
        _finish_dataset(database, storage, ready)
        jobs = [
            _made(http, "POST", "/v1/jobs", json={"dataset_id": ready, **SMALL, **POINTS}) for _ in range(3)
        ]
        rows.job_id += jobs
        bring(database, jobs[0], "running")
        rows.artifact_id.append(_finish_job(database, storage, jobs[0]))
        bring(database, jobs[1], "running")
        rows.condensed_set_id += [add_set(database, storage, owner=owner) for _ in range(2)]
        waiting = _made(http, "POST", "/v1/condensed-sets", json=source)
        rows.condensed_set_id.append(waiting)
        rows.webhook_id.append(_made(http, "POST", "/v1/webhooks", json={"url": "https://hooks.example/"}))
        rows.delivery_id.append(_made(http, "POST", f"/v1/webhooks/{rows.webhook_id[-1]}/test"))
    return rows


def _made(http: httpx2.Client, method: str, path: str, **content: object) -> str:
    response = http.request(method, path, **content)  # type: ignore[arg-type]
    assert response.is_success, response.text
    return str(response.json()["id"])


def _finish_dataset(database: Database, storage: LocalStorage, dataset_id: str) -> None:
    make_ready(database, dataset_id)
    with database.reading() as session:
        prefix = session.get_one(Dataset, dataset_id).blob_prefix
    _put_picture(storage, f"{prefix}/preview.png")


def _put_picture(storage: LocalStorage, key: str) -> None:
    with storage.scratch() as folder:
        picture: Path = folder / "picture.png"
        picture.write_bytes(PICTURE)
        storage.put(key, picture)


def _finish_job(database: Database, storage: LocalStorage, job_id: str) -> str:
    artifact = add_artifact(database, storage, job_id, b"the condensed set")
    key = snapshot_key(job_id, 1, ITERATION)
    _put_picture(storage, key)
    with database.writing() as session:
        owner = session.get_one(Job, job_id).owner
        for iteration in range(1, 4):
            point = {"job_id": job_id, "fence": 1, "x": iteration, "value": 0.5, "seconds": 1.0}
            session.add(Metric(owner=owner, **point))
            session.add(curve_point(job_id, iteration, owner=owner))
        session.add(
            Snapshot(
                job_id=job_id, owner=owner, iteration=ITERATION, fence=1, blob_key=key, size=len(PICTURE),
                sha256=hashlib.sha256(PICTURE).hexdigest(),
            )
        )  # fmt: skip
        for method in ("condensed", "random"):
            session.add(done_trial(job_id, method, owner=owner))
        result = {"environment": {"device": "cpu"}, "hlr": None, "ior": 0.0}
        assert move(session, Job, job_id, "succeeded", result=result, finished_at=db_now())
    return artifact.id
