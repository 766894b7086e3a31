"""The command line against a real API without a worker: results on standard output, mistakes in a line."""

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from condensery import Client
from core.db.session import Database
from core.settings import Settings
from core.storage.local import LocalStorage
from tests.integration.client.conftest import Run
from tests.support.api import add_artifact, bring, make_ready
from tests.support.leased import point
from tests.support.service import Service


def succeeds(result: Result) -> Any:
    """What was printed, as JSON."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def fails(result: Result, *said: str, status: int = 1) -> None:
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    for one in said:
        assert one in result.stderr, result.stderr


@pytest.fixture
def dataset_id(run: Run, database: Database, tmp_path: Path) -> str:
    (tmp_path / "set.zip").write_bytes(os.urandom(1000))
    made = succeeds(run("datasets", "add", "set.zip", "--no-wait", "--license", "cc0", "--json"))
    assert (made["name"], made["license"], made["state"]) == ("set.zip", "cc0", "ingesting")
    make_ready(database, made["id"])
    return str(made["id"])


def test_data_sets(run: Run, dataset_id: str) -> None:
    listed = succeeds(run("datasets", "list", "--state", "ready", "--json"))
    assert listed[0]["id"] == dataset_id
    shown = succeeds(run("datasets", "show", dataset_id, "--json"))
    assert shown["report"]["source_format"] == "imagefolder"
    assert "few" in run("show", dataset_id).stdout
    assert dataset_id in run("datasets", "list").stdout
    assert succeeds(run("datasets", "delete", dataset_id, "--json")) == {"deleted": [dataset_id]}
    fails(run("show", dataset_id), "404 not_found", dataset_id)


def test_jobs_are_submitted_paused_compared_and_cancelled(run: Run, dataset_id: str) -> None:
    first = succeeds(
        run(
            "submit", dataset_id, "--ipc", "1", "--recipe", "fast", "--iterations", "5", "--no-wait",
            "--name", "[bold]one", "--set", "network.width=16", "--set", "init=noise", "--json",
        )
    )  # fmt: skip
    spec = first["spec"]
    assert (spec["network"]["width"], spec["init"], spec["recipe"]) == (16, "noise", "fast")
    done = run("submit", dataset_id, "--ipc", "2", "--iterations", "5", "--no-wait")
    second = done.stdout.strip()
    assert second.startswith("job_")

    listed = succeeds(run("jobs", "--dataset", dataset_id, "--json"))
    assert [one["id"] for one in listed] == [second, first["id"]]
    assert "there are more" in run("jobs", "--limit", "1").stderr
    assert "[bold]one" in run("jobs").stdout, "what users write is no markup"
    compared = succeeds(run("compare", first["id"], second, "--json"))
    assert compared["settings"]["network.width"] == [16, 128]
    assert "network.depth" not in compared["settings"]
    assert "network.width" in run("compare", first["id"], second).stdout

    assert succeeds(run("pause", second, first["id"], "--json"))[1]["state"] == "paused"
    assert succeeds(run("resume", second, "--json"))[0]["state"] == "queued"
    assert run("cancel", second).stdout.split() == [second, "cancelled"]
    types = [json.loads(line)["type"] for line in run("events", second, "--json").stdout.splitlines()]
    assert types == ["queued", "paused", "queued", "cancelled"]
    assert len(run("events", second, "--follow", "--after", "2").stdout.splitlines()) == 2
    assert "noise" in run("show", first["id"]).stdout


def test_the_exit_status_is_the_jobs(
    run: Run, dataset_id: str, database: Database, service: Service, tmp_path: Path
) -> None:
    made = [
        run("submit", dataset_id, "--ipc", "1", "--iterations", "5", "--no-wait").stdout.strip()
        for _ in range(2)
    ]
    lost, won = made
    bring(database, lost, "cancelled")
    bring(database, won, "running")
    add_artifact(database, LocalStorage(service.data_dir), won, b"bytes", file_name="set.safetensors")
    bring(database, won, "succeeded")

    fails(run("follow", lost), f"{lost} was cancelled")
    failed = run("follow", lost, "--json")
    assert (failed.exit_code, json.loads(failed.stdout)["job"]["state"]) == (1, "cancelled")
    followed = succeeds(run("follow", won, "--json"))
    assert (followed["job"]["state"], followed["files"][0]["path"]) == ("succeeded", f"{won}/set.safetensors")
    assert (tmp_path / won / "set.safetensors").read_bytes() == b"bytes"
    saved = run("download", won, "--output", "there")
    assert (saved.exit_code, (tmp_path / "there" / "set.safetensors").read_bytes()) == (0, b"bytes")
    by_id = succeeds(run("download", followed["files"][0]["id"], "--json"))
    assert by_id == followed["files"]
    fails(run("download", won, "--format", "npz"), "offers no 'npz', but safetensors")
    unoffered = run("follow", won, "--format", "npz")
    assert (unoffered.exit_code, "offers no 'npz'" in unoffered.stderr) == (1, True)
    assert "test accuracy" in unoffered.stdout, "the results are there, whatever becomes of the files"


def test_the_accuracy_on_the_way_is_shown(run: Run, dataset_id: str, database: Database) -> None:
    points = ("--set", "evaluation.points=2")
    job_id = run("submit", dataset_id, "--ipc", "1", "--iterations", "9", "--no-wait", *points).stdout.strip()
    with database.writing() as session:
        for iteration, repeat, accuracy in ((3, 0, 0.2), (3, 1, 0.4), (6, 0, 0.5)):
            session.add(point(job_id, iteration, repeat, accuracy=accuracy))
    shown = [line.split() for line in run("show", job_id).stdout.splitlines()]
    assert ["3", "30.0", "±", "14.1", "%", "2"] in shown
    assert ["6", "50.0", "%", "1"] in shown
    first, _ = succeeds(run("show", job_id, "--json"))["accuracies"]
    assert (first["iteration"], first["n"]) == (3, 2)


def test_mistakes_are_told_in_a_line(run: Run, dataset_id: str, tmp_path: Path) -> None:
    fails(run("submit", "nowhere.zip", "--ipc", "1"), "no file or folder 'nowhere.zip'")
    fails(run("submit", dataset_id, "--ipc", "99"), "ipc is 99; the limit for this data set is 10")
    fails(run("submit", dataset_id, "--ipc", "1", "--set", "width"), "write NAME=VALUE")
    fails(run("submit", dataset_id, "--ipc", "1", "--set", "ipc=2"), "--set ipc")
    fails(run("submit", dataset_id, "--ipc", "1", "--set", "widht=2"), "/widht: there is no such field")
    fails(run("submit", dataset_id, "--ipc", "1", "--image-size", "999"), "for others upload it anew")
    fails(run("compare", dataset_id), "two jobs", status=2)
    fails(run("events", "nothing"), "neither a job's id")
    (tmp_path / "empty.zip").touch()
    fails(run("datasets", "add", "empty.zip"), "empty.zip is empty")
    (tmp_path / "taken").touch()
    fails(run("jobs", "--state", "odd"), "?state", "'queued'")


def test_the_version_is_said(run: Run) -> None:
    assert run("--version").stdout == f"condensery {version('condensery')}\n"


def test_a_server_that_is_away_is_named_with_what_to_do(run: Run) -> None:
    for words in (["jobs"], ["submit", "ds_1", "--ipc", "1"], ["download", "job_1"]):
        fails(
            run("--server", "http://127.0.0.1:1", *words),
            "cannot reach http://127.0.0.1:1", "condensery up", "CONDENSERY_SERVER",
        )  # fmt: skip
    fails(run("--server", "localhost:8000", "jobs"), "is no address of a server")


def test_the_configuration_file(
    run: Run, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not {"server", "api_key"} & set(Settings.model_fields), "they share the prefix CONDENSERY_"
    found = succeeds(run("config", "--json"))
    assert found["server"] == service.url
    file = Path(found["file"])
    assert file.is_relative_to(tmp_path)
    file.parent.mkdir(parents=True)
    file.write_text('server = "http://127.0.0.1:1"\napi_key = "secret"\n')
    assert succeeds(run("config", "--json"))["server"] == service.url, "the environment goes first"
    monkeypatch.delenv("CONDENSERY_SERVER")
    shown = run("config", "--json")
    assert (json.loads(shown.stdout)["server"], "secret" in shown.stdout) == ("http://127.0.0.1:1", False)
    fails(run("jobs"), "cannot reach http://127.0.0.1:1")
    file.write_text('sever = "http://127.0.0.1:1"\n')
    fails(run("jobs"), "has 'sever', which is not known: known are server, api_key")
    file.write_text("server = \n")
    fails(run("jobs"), "config.toml is not TOML")


def test_keys_and_usage(run: Run, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Last: from the first key on, every request needs one."""
    assert succeeds(run("usage", "--json"))["jobs"]["queued_limit"] == 1000
    assert "jobs queued" in run("usage").stdout
    made = run("keys", "create", "mine", "--scope", "admin", "--expires", "2099-01-01")
    token = made.stdout.strip()
    with Client(service.url, token) as client:
        (key,) = client.keys.list()
    assert key.expires_at is not None and key.expires_at.year in (2098, 2099)
    fails(run("usage"), "CONDENSERY_API_KEY")
    monkeypatch.setenv("CONDENSERY_API_KEY", f"{token}\n")
    fails(run("usage"), "has characters that no key has")
    monkeypatch.setenv("CONDENSERY_API_KEY", token)
    other = succeeds(run("keys", "create", "other", "--scope", "read", "--json"))
    assert [one["id"] for one in succeeds(run("keys", "list", "--json"))] == [other["id"], key.id]
    assert run("keys", "revoke", other["id"]).stdout.split() == [other["id"], "revoked"]
    assert "other" in run("keys", "list").stdout
