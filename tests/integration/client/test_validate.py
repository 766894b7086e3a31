"""Settings are checked by the server before anything is uploaded."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from condensery import ApiError, AsyncClient, Client, Dataset, JobCheck
from tests.integration.client.conftest import Run, Script
from tests.integration.client.test_answers import USAGE

REFUSED = {
    "status": 422,
    "code": "invalid_request",
    "detail": "the body is not valid: recipe",
    "errors": [{"pointer": "/recipe", "detail": "must be 'dm' or 'fast'"}],
}
ANSWER = {
    "kind": "condense",
    "spec": {"ipc": 1, "recipe": "fast"},
    "label": "1 per class, fast",
    "cost": None,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "set.zip"
    path.write_bytes(os.urandom(1000))
    return path


def test_a_mistyped_setting_is_refused_before_anything_is_sent(
    run: Run, scripted: tuple[str, type[Script]], file: Path
) -> None:
    url, script = scripted
    script.answers = [(200, {}, USAGE), (422, {}, json.dumps(REFUSED).encode())]
    done = run(
        "--server", url, "submit", str(file), "--ipc", "1", "--recipe", "fats", "--set", "network.width=16"
    )
    assert (done.exit_code, done.stdout) == (1, "")
    assert "/recipe: must be 'dm' or 'fast'" in done.stderr
    assert [one[:2] for one in script.asked] == [("GET", "/v1/usage"), ("POST", "/v1/jobs/validate")]
    assert json.loads(script.asked[1][2]) == {"ipc": 1, "recipe": "fats", "network": {"width": 16}}


def test_every_choice_is_the_servers(run: Run, client: Client, file: Path) -> None:
    before = client.usage().stored_bytes.uploads
    for words, pointer in (
        (["--ipc", "1", "--recipe", "fats"], "/recipe"),
        (["--ipc", "1", "--priority", "fats"], "/priority"),
        (["--ipc", "1", "--set", "widht=2"], "/widht: there is no such field"),
        ([], "/ipc"),
        (["--kind", "fats"], "fats"),
    ):
        done = run("submit", str(file), *words)
        assert (done.exit_code, done.stdout) == (1, "")
        assert pointer in done.stderr
    assert client.usage().stored_bytes.uploads == before


def test_the_answer_is_what_a_submission_makes(client: Client, dataset: Dataset) -> None:
    found = client.jobs.validate(dataset, ipc=1, recipe="fast", iterations=5)
    assert found.cost is not None and found.cost.flops == sum(found.cost.flops_by_phase.values())
    assert list(client.jobs.list(dataset=dataset)) == []
    job = client.jobs.submit(dataset, ipc=1, recipe="fast", iterations=5)
    assert (job.kind, job.spec) == (found.kind, found.spec) and found.kind == "condense"
    assert client.jobs.validate(ipc=1).cost is None
    assert [one.id for one in client.jobs.list(kind="condense", dataset=dataset)] == [job.id]
    with pytest.raises(ApiError) as refused:
        client.jobs.validate(dataset, ipc=99)
    with pytest.raises(ApiError) as also:
        client.jobs.submit(dataset, ipc=99)
    assert str(refused.value) == str(also.value)


def test_both_clients_ask(scripted: tuple[str, type[Script]]) -> None:
    url, script = scripted
    answer, refused = (json.dumps(one).encode() for one in (ANSWER, REFUSED))
    script.answers = [(200, {}, answer), (200, {}, answer), (422, {}, refused)]

    async def asked() -> JobCheck:
        async with AsyncClient(url) as client:
            return await client.jobs.validate("ds_1", ipc=1, recipe="fast")

    with Client(url) as client:
        assert client.jobs.validate("ds_1", ipc=1, recipe="fast").raw == asyncio.run(asked()).raw == ANSWER
        with pytest.raises(ApiError, match="/recipe"):
            client.jobs.validate(ipc=1, recipe="fats")
    body = {"dataset_id": "ds_1", "ipc": 1, "recipe": "fast"}
    assert [json.loads(one[2]) for one in script.asked] == [body, body, {"ipc": 1, "recipe": "fats"}]
