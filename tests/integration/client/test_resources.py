"""Data sets, jobs, events and keys by the client, sync and async, over connections that break."""

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from condensery import ApiError, AsyncClient, Client, ConnectionFailed, Dataset, JobFailed, NotOffered
from core.db.session import Database
from core.storage.disk import sha256_file
from core.storage.local import LocalStorage
from tests.support.api import add_artifact, bring, make_ready
from tests.support.breaking_proxy import BreakingProxy
from tests.support.service import ROOT, Service


def test_events_come_once_each_over_breaks_and_wait_ends(
    proxy: BreakingProxy, dataset: Dataset, client: Client, database: Database
) -> None:
    job = client.jobs.submit(dataset, ipc=1, iterations=5)
    seen: list[tuple[int, str]] = []
    with Client(proxy.url) as watcher:
        moves = iter([("running",), ("cancelling",), ("cancelled",)])
        for event in watcher.jobs.get(job.id).events():
            seen.append((event.seq, event.type))
            proxy.cut()
            bring(database, job.id, *next(moves, ()))
        with pytest.raises(JobFailed, match="was cancelled") as failed:
            watcher.jobs.get(job.id).wait()
    assert seen == [(1, "queued"), (2, "running"), (3, "cancelling"), (4, "cancelled")]
    assert failed.value.job.id == job.id
    assert proxy.connections > 2


def test_a_job_is_made_once_although_the_answer_was_lost(
    proxy: BreakingProxy, dataset: Dataset, client: Client
) -> None:
    before = {job.id for job in client.jobs.list()}
    proxy.cuts = [("down", 1), ("down", 1)]
    with Client(proxy.url) as unlucky:
        job = unlucky.jobs.submit(dataset.id, ipc=1, iterations=5, name="once")
    assert {one.id for one in client.jobs.list()} - before == {job.id}
    assert proxy.connections == 3


def test_what_was_deleted_although_the_answer_was_lost_is_deleted(
    proxy: BreakingProxy, dataset: Dataset, client: Client
) -> None:
    proxy.cuts = [("down", 1)]
    with Client(proxy.url) as unlucky:
        unlucky.delete(f"/v1/datasets/{dataset.id}")
    assert proxy.cuts == []
    with pytest.raises(ApiError, match="404"):
        dataset.delete()


def test_what_must_not_be_made_twice_is_not_tried_again(
    proxy: BreakingProxy, dataset: Dataset, client: Client
) -> None:
    proxy.cuts = [("down", 1)]
    with Client(proxy.url) as unlucky, pytest.raises(ConnectionFailed):
        unlucky.post("/v1/jobs", {"dataset_id": dataset.id, "ipc": 1})
    assert len([*client.jobs.list(dataset=dataset)]) == 1, "and it had arrived"
    assert proxy.connections == 1


def test_lists_go_over_every_page(client: Client, dataset: Dataset) -> None:
    made = [client.jobs.submit(dataset, ipc=1, iterations=5, seed=seed).id for seed in range(53)]
    assert [job.id for job in client.jobs.list(dataset=dataset)] == made[::-1]


def test_jobs_pause_go_on_and_are_deleted(client: Client, dataset: Dataset) -> None:
    job = client.jobs.submit(dataset, ipc=1, iterations=5, recipe="fast", network={"width": 16})
    assert (job.state, job.spec["recipe"], job.spec["network"]["width"]) == ("queued", "fast", 16)
    assert [job.pause().state, job.resume().state, job.cancel().state] == ["paused", "queued", "cancelled"]
    with pytest.raises(NotOffered, match="has no files: it is cancelled"):
        job.refresh().artifact("npz")
    job.delete()
    with pytest.raises(ApiError) as refused:
        job.refresh()
    assert (refused.value.status, refused.value.code) == (404, "not_found")


def test_an_error_says_which_field(client: Client, dataset: Dataset) -> None:
    with pytest.raises(ApiError, match=r"422 invalid_request: .*\n  /ipc: .*greater than or equal to 1"):
        client.jobs.submit(dataset, ipc=0)


def test_asyncio_has_all_of_it(proxy: BreakingProxy, database: Database, file: Path, tmp_path: Path) -> None:
    async def whole_way() -> None:
        proxy.cuts = [("up", 1_000_000), ("down", 1)]
        async with AsyncClient(proxy.url) as client:
            dataset = await client.datasets.add(file, name="async")
            make_ready(database, dataset.id)
            dataset = await dataset.wait()
            assert dataset.state == "ready"
            job = await client.jobs.submit(dataset, ipc=1, iterations=5)
            other = await client.jobs.submit(dataset, ipc=1, iterations=6)
            watched = asyncio.create_task(_types(job))
            assert [one.id async for one in client.jobs.list(dataset=dataset)] == [other.id, job.id]
            assert (await job.cancel()).state == "cancelled"
            assert await watched == ["queued", "cancelled"]
            with pytest.raises(JobFailed):
                await job.wait()
            made = add_artifact(database, LocalStorage(database_folder), other.id, b"bytes" * 1000)
            path = await (await other.artifact("npz")).download(tmp_path)
            assert sha256_file(path) == made.sha256
            assert (await client.usage()).jobs.queued >= 1

    database_folder = Path(str(database.engine.url.database)).parent
    asyncio.run(whole_way())


async def _types(job: object) -> list[str]:
    return [event.type async for event in job.events()]  # type: ignore[attr-defined]


def test_the_package_needs_no_torch_and_nothing_of_the_server() -> None:
    code = (
        "import sys, condensery, condensery.cli\n"
        "print(*{'torch', 'safetensors', 'api', 'core', 'worker', 'fastapi'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_keys(client: Client, service: Service) -> None:
    """Last: from the first key on, every request needs one."""
    key = client.keys.create("test", scope="admin")
    assert key.token is not None and key.token not in repr(key)
    with pytest.raises(ApiError, match="401 unauth"):
        client.usage()
    with Client(service.url, key.token) as admin:
        assert [one.id for one in admin.keys.list()] == [key.id]
        reader = admin.keys.create("reader", scope="read")
        admin.keys.revoke(reader)
        assert next(admin.keys.list()).revoked_at is not None
        with Client(service.url, reader.token) as revoked, pytest.raises(ApiError, match="401"):
            revoked.usage()
    assert httpx2.get(f"{service.url}/v1/usage").status_code == 401
