"""Condensed sets by the client and by the command line, against a real API without a worker."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from condensery import AsyncClient, Client, CondensedSet, CondensedSetInvalid, NotOffered
from core.db.session import Database
from core.storage.local import LocalStorage
from tests.integration.client.conftest import Run
from tests.support.api import bring, make_ready
from tests.support.service import Service
from tests.support.sets import add_set, end_reading, images, stored_images

WHY = {
    "code": "condensed_set_unclear",
    "detail": "What are its pixels?",
    "findings": [{"severity": "ask", "code": "space_open", "detail": "?", "answer": "space"}],
}


@pytest.fixture
def storage(service: Service) -> LocalStorage:
    return LocalStorage(service.data_dir)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "condensed.safetensors"
    stored_images(path, images())
    return path


def succeeds(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_added_waited_for_and_found(client: Client, database: Database, file: Path) -> None:
    made = client.condensed_sets.add(file, name="mine", license="mit", stated={"factor": 1})
    assert isinstance(made, CondensedSet)
    assert (made.state, made.name, made.license, made.stated) == ("reading", "mine", "mit", {"factor": 1})
    end_reading(database, made.id)
    ready = made.wait()
    assert ready.state == "ready" and ready.ended
    assert [event.type for event in made.events()] == ["reading", "claimed", "ready"]
    assert made.id in {one.id for one in client.condensed_sets.list(state="ready")}
    assert made.id not in {one.id for one in client.condensed_sets.list(job="job_0")}
    with pytest.raises(NotOffered):
        ready.artifact()
    ready.delete()
    assert made.id not in {one.id for one in client.condensed_sets.list()}


def test_what_is_asked_for_is_in_the_error(client: Client, database: Database, file: Path) -> None:
    made = client.condensed_sets.add(file)
    end_reading(database, made.id, "invalid", problem=WHY)
    with pytest.raises(CondensedSetInvalid, match="What are its pixels") as raised:
        made.wait()
    problem = raised.value.condensed_set.problem
    assert problem is not None
    assert problem.raw["findings"] == WHY["findings"]


def test_files_and_merges(client: Client, database: Database, storage: LocalStorage, tmp_path: Path) -> None:
    one = client.condensed_sets.get(add_set(database, storage, made=images(("a",))))
    other = add_set(database, storage, made=images(("b",)))
    assert {each.format for each in one.artifacts()} == {"safetensors", "preview"}
    path = one.artifact("preview").download(tmp_path)
    assert path.read_bytes().startswith(b"\x89PNG")
    whole = client.condensed_sets.merge([one, other], name="whole")
    assert (whole.parents, whole.name) == ([one.id, other], "whole")


def test_asyncio_is_the_same(service: Service, database: Database, storage: LocalStorage) -> None:
    made = add_set(database, storage)

    async def formats() -> set[str]:
        async with AsyncClient(service.url) as client:
            row = await client.condensed_sets.get(made)
            return {one.format for one in await row.artifacts()}

    assert asyncio.run(formats()) == {"safetensors", "preview"}


def test_typed(run: Run, database: Database, storage: LocalStorage, file: Path, tmp_path: Path) -> None:
    made = succeeds(
        run("sets", "add", str(file), "--no-wait", "--name", "x", "--state", "mean=[0.5]", "--json")
    )
    assert (made["name"], made["stated"]) == ("x", {"mean": [0.5]})
    end_reading(database, made["id"], "invalid", problem=WHY)
    assert "What are its pixels?" in run("sets", "show", made["id"]).stdout
    assert succeeds(run("show", made["id"], "--json"))["state"] == "invalid"
    again = succeeds(run("sets", "add", made["upload_id"], "--no-wait", "--json"))
    assert again["upload_id"] == made["upload_id"]
    types = [json.loads(line)["type"] for line in run("events", made["id"], "--json").stdout.splitlines()]
    assert types == ["reading", "claimed", "invalid"]
    one, other = (add_set(database, storage, made=images((name,))) for name in "ab")
    listed = succeeds(run("sets", "list", "--state", "ready", "--json"))
    assert {one, other} <= {each["id"] for each in listed}
    assert one in run("sets", "list").stdout
    saved = succeeds(run("sets", "download", one, "--output", str(tmp_path / "out"), "--json"))
    assert [Path(each["path"]).name for each in saved] == ["condensed.safetensors"]
    merged = succeeds(run("sets", "merge", one, other, "--name", "both", "--no-wait", "--json"))
    assert merged["parents"] == [one, other]
    assert succeeds(run("sets", "delete", merged["id"], one, "--json")) == {"deleted": [merged["id"], one]}
    wrong = run("sets", "add", "nothing.pt")
    assert wrong.exit_code == 1 and "no file or folder" in wrong.stderr
    wrong = run("sets", "add", str(file), "--state", "mean")
    assert wrong.exit_code == 1 and "--state mean" in wrong.stderr


@pytest.fixture
def dataset_id(client: Client, database: Database, file: Path) -> Iterator[str]:
    made = client.datasets.add(file)
    make_ready(database, made.id, image_size=16)
    yield made.id


def test_a_set_or_the_one_of_a_job_is_evaluated(
    run: Run, database: Database, storage: LocalStorage, dataset_id: str
) -> None:
    made = add_set(database, storage)
    job = succeeds(
        run(
            "evaluate", made, dataset_id, "--network", "mlp", "--network", "lenet", "--networks", "3",
            "--epochs", "7", "--baseline", "random", "--set", "augment=none", "--no-wait", "--json",
        )
    )  # fmt: skip
    assert (job["kind"], job["condensed_set_id"], job["dataset_id"]) == ("evaluate", made, dataset_id)
    spec = job["spec"]
    assert [one["name"] for one in spec["architectures"]] == ["mlp", "lenet"]
    assert (spec["networks"], spec["epochs"], spec["baselines"]) == (3, 7, ["random"])
    assert spec["augment"] == "none"

    parent = succeeds(run("submit", dataset_id, "--ipc", "1", "--no-wait", "--json"))["id"]
    refused = run("evaluate", parent, dataset_id, "--no-wait")
    assert refused.exit_code == 1 and "has made no condensed set" in refused.stderr
    bring(database, parent, "running", "succeeded")
    of_job = add_set(database, storage, job_id=parent)
    done = run("evaluate", parent, dataset_id, "--no-wait", "--json")
    assert succeeds(done)["condensed_set_id"] == of_job
