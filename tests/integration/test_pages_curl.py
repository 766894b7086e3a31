"""The lines for a terminal that pages show, as they are, in a terminal."""

import json
import re
import subprocess
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx2
import pytest

from core.db.models import Artifact, Job
from core.db.session import Database
from tests.support.api import bring, offer
from tests.support.pages import PAGE
from tests.support.service import Service

CONTENT = b"the condensed set"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Without a worker."""
    running = Service(tmp_path_factory.mktemp("curl"))
    running.migrate()
    running.start_api()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def job_id(service: Service) -> str:
    artifact = offer(service, CONTENT).split("/")[3]
    database = Database(f"sqlite+pysqlite:///{service.data_dir / 'condensery.db'}")
    with database.reading() as session:
        job = str(session.get_one(Artifact, artifact).job_id)
        assert session.get_one(Job, job).state == "queued"
    bring(database, job, "running", "succeeded")
    database.engine.dispose()
    return job


def lines_of(service: Service, path: str, key: str | None) -> str:
    headers = PAGE | ({"Authorization": f"Bearer {key}"} if key else {})
    page = httpx2.get(service.url + path, headers=headers)
    assert page.status_code == 200
    [first, *_] = re.findall('<pre tabindex="0">(curl.*?|UPLOAD=.*?)</pre>', page.text, re.DOTALL)
    return unescape(first)


def pasted(lines: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-c", lines], cwd=folder, env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def key(service: Service, job_id: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The first one. Before it, the pages show none."""
    assert "KEY" not in lines_of(service, "/datasets", None)
    check_all(service, job_id, tmp_path_factory.mktemp("without"), None)
    made = httpx2.post(f"{service.url}/v1/keys", json={"name": "first", "scope": "admin"})
    return str(made.json()["token"])


def check_all(service: Service, job_id: str, folder: Path, key: str | None) -> None:
    environment = {"KEY": key} if key else {}
    (folder / "digits.zip").write_bytes(b"some bytes")
    made = pasted(lines_of(service, "/datasets", key), folder, **environment)
    assert made.returncode == 0, made.stderr
    assert (json.loads(made.stdout)["name"], json.loads(made.stdout)["state"]) == ("digits", "ingesting")
    for begun in (b"", CONTENT[:5]):
        (folder / "set.npz").write_bytes(begun)
        got = pasted(lines_of(service, f"/jobs/{job_id}/result", key), folder, **environment)
        assert got.returncode == 0, got.stderr
        assert (folder / "set.npz").read_bytes() == CONTENT


def test_they_do_what_they_say(service: Service, job_id: str, key: str, tmp_path: Path) -> None:
    check_all(service, job_id, tmp_path, key)


def test_a_refusal_is_no_file(service: Service, job_id: str, key: str, tmp_path: Path) -> None:
    lines = lines_of(service, f"/jobs/{job_id}/result", key)
    refused = pasted(lines, tmp_path, KEY="wrong")
    assert refused.returncode == 22
    assert not list(tmp_path.iterdir())
