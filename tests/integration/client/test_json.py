"""`--json`: whatever becomes of a command, standard output is one JSON document; people read the other."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from condensery import Dataset
from condensery.cli import datasets, jobs
from condensery.cli.watch import watch_dataset
from core.db import models
from core.db.session import Database
from core.work.transitions import move
from tests.integration.client.conftest import Run

NO_SERVER = ("--server", "http://127.0.0.1:1")


def failure_of(run: Run, *words: str, status: int = 1) -> Any:
    """What a command that fails prints with --json; without, it prints nothing there."""
    plain = run(*words)
    assert (plain.exit_code, plain.stdout) == (status, "")
    done = run(*words, "--json")
    assert done.exit_code == status, done.output
    assert done.stderr.strip(), "people are told as well"
    return json.loads(done.stdout)


def make_invalid(database: Database, dataset_id: str) -> None:
    problem = {"code": "no_images", "detail": "it holds no images"}
    with database.writing() as session:
        assert move(session, models.Dataset, dataset_id, "invalid", problem=problem)


def test_the_problem_of_the_server_is_printed_with_all_its_fields(run: Run, dataset: Dataset) -> None:
    for words in (
        ("show", "job_1"),
        ("cancel", "job_1"),
        ("download", "job_1"),
        ("datasets", "show", "ds_1"),
    ):
        problem = failure_of(run, *words)
        assert (problem["status"], problem["code"]) == (404, "not_found")
        assert {"type", "title", "detail", "request_id"} <= problem.keys()
    problem = failure_of(run, "submit", dataset.id, "--ipc", "1", "--set", "widht=2")
    assert (problem["status"], problem["errors"][0]["pointer"]) == (422, "/widht")


def test_what_the_server_did_not_say_has_a_code_too(run: Run, dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "empty.zip").touch()
    for code, said, words in (
        ("connection_failed", "cannot reach http://127.0.0.1:1", (*NO_SERVER, "jobs")),
        ("nothing_to_send", "empty.zip is empty", ("datasets", "add", "empty.zip")),
        ("failed", "no file or folder 'nowhere.zip'", ("submit", "nowhere.zip", "--ipc", "1")),
        ("failed", "is no address", ("--server", "localhost", "usage")),
    ):
        found = failure_of(run, *words)
        assert (found["code"], found.keys()) == (code, {"title", "detail", "code"})
        assert said in found["detail"]
        assert found["title"] == code.replace("_", " ").capitalize()


def test_what_cannot_be_parsed_is_told_so(run: Run) -> None:
    for said, words in (
        ("No such option", ("jobs", "--nothing")),
        ("Missing argument", ("submit", "--ipc", "1")),
        ("No such command", ("nothing",)),
        ("two jobs", ("compare", "job_1")),
    ):
        found = failure_of(run, *words, status=2)
        assert (found["code"], said in found["detail"]) == ("usage", True), found


def test_a_data_set_that_cannot_be_used_is_printed(
    run: Run, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_in_vain(dataset: Dataset) -> Dataset:
        make_invalid(database, dataset.id)
        return watch_dataset(dataset)

    monkeypatch.setattr(datasets, "watch_dataset", read_in_vain)
    (tmp_path / "set.zip").write_bytes(os.urandom(1000))
    found = failure_of(run, "datasets", "add", "set.zip")
    assert (found["state"], found["problem"]["code"]) == ("invalid", "no_images")
    again = failure_of(run, "submit", found["id"], "--ipc", "1")
    assert (again["id"], again["state"]) == (found["id"], "invalid")


def test_events_are_a_line_each_and_so_is_what_went_wrong(run: Run) -> None:
    done = run("events", "job_1", "--json")
    (line,) = done.stdout.splitlines()
    assert (done.exit_code, json.loads(line)["code"]) == (1, "not_found")


def test_ctrl_c_is_an_outcome_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "client_of", interrupt)
    assert failure_of(run, "jobs", status=130)["code"] == "interrupted"
