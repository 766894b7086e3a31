"""F28: the n-th call to the disk fails, for every n. What was there is intact, and a repeat succeeds."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from api.app import create_app
from core.catalogue.resumable import forget_expired
from core.db.models import Job
from core.errors import StorageFull
from core.ids import new_id
from core.storage.local import LocalStorage
from core.work.reaper import reap
from core.work.transitions import move
from tests.faults.checker import contradictions, litter
from tests.faults.evidence import Evidence
from tests.integration.test_checkpoints import assert_same_bits, state_at
from tests.support.api import client_of, problem_of
from tests.support.condensed import next_attempt
from tests.support.disk_calls import watched
from tests.support.leased import expire, new_row
from tests.support.sweeping import sweep_everything
from tests.support.tus import CONTENT as WHOLE
from tests.support.tus import begun, offset, patch, post
from tests.support.workplace import Workplace
from tests.support.works import keep, newest


class Broken:
    """The call `number` fails, counted from 1; one with ENOSPC fails together with all that follow it."""

    def __init__(self, number: int, code: int) -> None:
        self.happened = False
        self.code = code
        self._left = number

    def __call__(self, name: str, path: Path) -> None:
        if name == "open" and self.code == errno.ENOSPC:
            return  # what is there needs no room
        self._left -= 1
        if self._left == 0 or (self._left < 0 and self.code == errno.ENOSPC):
            self.happened = True
            raise OSError(self.code, os.strerror(self.code), str(path))


class Scene:
    """One place where the same thing is done again and again."""

    def __init__(self, place: Workplace) -> None:
        assert isinstance(place.storage, LocalStorage)
        self.place, self.database, self.storage = place, place.database, place.storage
        self.http: TestClient = client_of(create_app(place.settings, place.database, place.storage))

    def tidy(self) -> None:
        """What sweeps do, were everything old enough."""
        forget_expired(self.database, self.storage, 0)
        sweep_everything(self.database, self.storage)
        self.storage.forget_abandoned(0)


def put_a_file(scene: Scene, broken: Broken) -> None:
    _put(scene, broken, lambda folder: (folder / "blob").write_bytes(b"content"))


def put_a_folder(scene: Scene, broken: Broken) -> None:
    def write(folder: Path) -> None:
        (folder / "blob" / "inner").mkdir(parents=True)
        (folder / "blob" / "inner" / "one").write_bytes(b"1")
        (folder / "blob" / "two").write_bytes(b"22")

    _put(scene, broken, write)


def _put(scene: Scene, broken: Broken, write: Callable[[Path], object]) -> None:
    """As attempts do: each has a key of its own."""
    job = f"jobs/{new_id('job')}"

    def put(key: str) -> None:
        with scene.storage.scratch() as folder:
            write(folder)
            scene.storage.put(key, folder / "blob")

    def found(key: str) -> dict[str, bytes]:
        keys = [one for one in scene.storage.keys(job) if one.startswith(key)]
        return {one.removeprefix(key): scene.storage.path(one).read_bytes() for one in keys}

    with _seen(scene, broken):
        put(f"{job}/a1")
    put(f"{job}/a2")
    assert found(f"{job}/a2")
    assert found(f"{job}/a1") in ({}, found(f"{job}/a2")), "a part of it is visible"


def upload(scene: Scene, broken: Broken) -> None:
    content = os.urandom(100_000)
    before = scene.http.get("/v1/uploads").json()["data"]
    with watched(scene.place.settings.data_dir, broken):
        answer = scene.http.put("/v1/uploads", content=content)
    if answer.status_code != 201:
        _refused(answer, broken)
        assert scene.http.get("/v1/uploads").json()["data"] == before
        answer = scene.http.put("/v1/uploads", content=content)
    assert answer.status_code == 201
    _is_there(scene, answer.json()["id"], content)


def resumable_upload(scene: Scene, broken: Broken) -> None:
    """Begun, and sent in two pieces; after an error the client asks how much came, and goes on there."""
    with watched(scene.place.settings.data_dir, broken):
        answer = post(scene.http)
    if answer.status_code != 201:
        _refused(answer, broken)
    path = answer.headers["location"] if answer.status_code == 201 else begun(scene.http)
    sent = 0
    with watched(scene.place.settings.data_dir, broken):
        for end in (len(WHOLE) // 3, len(WHOLE)):
            answer = patch(scene.http, path, sent, WHOLE[sent:end])
            if answer.status_code != 204:
                _refused(answer, broken)
                break
            sent = end
    while sent < len(WHOLE):
        sent = offset(scene.http, path)  # completes what came whole
        if sent < len(WHOLE):
            assert patch(scene.http, path, sent, WHOLE[sent:]).status_code == 204
    _is_there(scene, path.rpartition("/")[2], WHOLE)


def checkpoint(scene: Scene, broken: Broken) -> None:
    job_id = new_row(scene.database, Job)
    attempt = next_attempt(scene.database, scene.storage, scene.place.settings, job_id)
    for iteration in (1, 2):
        keep(attempt, state_at(iteration))
    done = False
    with _seen(scene, broken):
        keep(attempt, state_at(3))
        done = True
    if not done:
        with scene.database.writing() as session:
            expire(session, Job, job_id)
        with scene.database.writing() as session:
            reap(session, scene.storage, scene.place.settings)
        attempt = next_attempt(scene.database, scene.storage, scene.place.settings, job_id)
        assert_same_bits(newest(attempt), state_at(2))
        keep(attempt, state_at(3))
    assert_same_bits(newest(attempt), state_at(3))
    with scene.database.writing() as session:
        assert move(session, Job, job_id, "queued")  # so that nothing of it is spared by the sweep


@contextmanager
def _seen(scene: Scene, broken: Broken) -> Iterator[None]:
    """What a worker's own code meets: a full disk by its name, anything else as it is.

    A directory that cannot be made is no error if it is there.
    """
    error: OSError | StorageFull | None = None
    with watched(scene.place.settings.data_dir, broken):
        try:
            yield
        except (OSError, StorageFull) as caught:
            error = caught
    assert error is None or broken.happened
    assert error is None or isinstance(error, StorageFull) == (broken.code == errno.ENOSPC), error


def _refused(answer: httpx2.Response, broken: Broken) -> None:
    assert broken.happened
    problem_of(answer, 507 if broken.code == errno.ENOSPC else 500)


def _is_there(scene: Scene, upload_id: str, content: bytes) -> None:
    """Byte for byte; that its file has the SHA-256 is the checker's to see."""
    found = scene.http.get(f"/v1/uploads/{upload_id}").json()
    assert (found["state"], found["size"]) == ("complete", len(content))
    assert found["sha256"] == hashlib.sha256(content).hexdigest()


OPERATIONS = (put_a_file, put_a_folder, upload, resumable_upload, checkpoint)
NEEDED = {"put_a_file": 5, "put_a_folder": 9, "upload": 6, "resumable_upload": 8, "checkpoint": 6}


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.__name__)
def test_every_call(
    bench: Workplace, evidence: Evidence, operation: Callable[[Scene, Broken], None], code: int
) -> None:
    scene = Scene(bench)
    for number in count(1):
        broken = Broken(number, code)
        with capture_logs():  # to print what is unexpected, with all its variables, takes a second
            operation(scene, broken)
        assert contradictions(evidence) == [], f"call {number}"
        scene.tidy()
        assert contradictions(evidence) + litter(evidence) == [], f"call {number}"
        assert list((bench.settings.data_dir / "partial").iterdir()) == []
        if not broken.happened:
            break
    assert number > NEEDED[operation.__name__], "calls are not seen"
