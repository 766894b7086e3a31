"""`python -m core.admin`, as an operator types it."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from core import logs
from core.admin.__main__ import app
from core.catalogue.keys import authenticate
from core.catalogue.sweep import check_files
from core.db.models import ApiKey, Job
from core.db.session import Database, get_database
from core.errors import Unauthenticated
from core.settings import Settings
from core.storage import get_storage
from core.storage.local import LocalStorage
from tests.support.api import bring, queued_job, upload
from tests.support.databases import empty_sqlite, migrated_sqlite
from tests.support.leased import expire, process_settings
from tests.support.servers import free_port
from tests.support.sweeping import seen_before

CREATE = ("create", "--owner", "team-a", "--scope", "write")

Admin = Callable[..., Result]


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> Admin:
    """`admin(url, *arguments)` runs `keys` with these arguments on the database at `url`."""
    monkeypatch.setattr(logs, "configure", lambda *_arguments, **_named: None)  # of this process

    def run(url: str, *arguments: str) -> Result:
        with process_settings(monkeypatch, database_url=url):
            get_database.cache_clear()
            try:
                return CliRunner(env={"COLUMNS": "300", "NO_COLOR": "1"}).invoke(app, ["keys", *arguments])
            finally:
                get_database().engine.dispose()
                get_database.cache_clear()

    return run


def test_create_list_revoke(admin: Admin, database: Database, database_url: str) -> None:
    made = admin(database_url, *CREATE, "--name", "ci", "--expires", "2999-01-01T02:00:00+02:00")
    assert made.exit_code == 0, made.stderr
    token = made.stdout.removesuffix("\n")
    key_id, _, secret = token.partition(".")
    assert key_id in made.stderr
    assert secret not in made.stderr
    with database.reading() as session:
        key = authenticate(session, token)
    assert (key.owner, key.name, key.scopes) == ("team-a", "ci", ["read", "write"])
    assert key.expires_at is not None
    assert key.expires_at.isoformat() == "2999-01-01T00:00:00+00:00"

    listed = admin(database_url, "list", "--owner", "team-a")
    head, row = listed.stdout.splitlines()
    assert head.split() == ["id", "owner", "scope", "condition", "name"]
    assert row.split() == [key_id, "team-a", "write", "until", "2999-01-01", "ci"]
    (shown,) = json.loads(admin(database_url, "list", "--json").stdout)
    assert (shown["id"], shown["scope"], shown["last_used_at"]) == (key_id, "write", None)
    assert admin(database_url, "list", "--owner", "team-b").stdout == ""

    assert admin(database_url, "revoke", key_id).exit_code == 0
    with database.reading() as session, pytest.raises(Unauthenticated):
        authenticate(session, token)
    assert " revoked " in admin(database_url, "list").stdout
    unknown = admin(database_url, "revoke", "key_0")
    assert unknown.exit_code == 1
    assert "no API key 'key_0'" in unknown.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--owner", "a b", "--scope", "read"), "'a b'"),
        (("--owner", "a", "--scope", "root"), "'root'"),
        (("--owner", "a", "--scope", "read", "--expires", "2999-01-01"), "time zone"),
        (("--owner", "a", "--scope", "read", "--expires", "2001-01-01T00:00:00Z"), "in the past"),
        (("--owner", "a", "--scope", "read", "--expires", "soon"), "'soon'"),
        (("--owner", "a", "--scope", "read", "--name", ""), "1 to 200"),
    ],
)
def test_faulty_arguments(admin: Admin, tmp_path: Path, arguments: tuple[str, ...], named: str) -> None:
    url = migrated_sqlite(tmp_path)
    refused = admin(url, "create", *arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert named in refused.stderr
    database = Database(url)
    with database.reading() as session:
        assert session.scalars(select(ApiKey)).all() == []
    database.engine.dispose()


def test_database_that_is_not_migrated(admin: Admin, tmp_path: Path) -> None:
    for arguments in (CREATE, ("list",), ("revoke", "key_0")):
        refused = admin(empty_sqlite(tmp_path), *arguments)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "python -m core.db.migrate" in refused.stderr


def test_database_that_is_away(admin: Admin) -> None:
    refused = admin(f"postgresql+psycopg://me:hunter2@127.0.0.1:{free_port()}/none", "list")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "does not answer" in refused.stderr
    assert "hunter2" not in refused.stderr


def test_jobs_reap_retention_and_storage(
    http: TestClient,
    database: Database,
    database_url: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "configure", lambda *_arguments, **_named: None)
    waiting, lost = queued_job(http, database), queued_job(http, database)
    bring(database, lost, "running")
    with database.writing() as session:
        expire(session, Job, lost)

    def run(*arguments: str, status: int = 0) -> Any:
        limits = {"data_dir": settings.data_dir, "database_url": database_url, "retention_days_jobs": 1e-9}
        with process_settings(monkeypatch, **limits):
            get_database.cache_clear()
            get_storage.cache_clear()
            with capture_logs():  # of this process, on standard output
                ran = CliRunner().invoke(app, arguments if "cancel" in arguments else [*arguments, "--json"])
            get_database().engine.dispose()
            get_database.cache_clear()
            get_storage.cache_clear()
        assert ran.exit_code == status, ran.output
        return json.loads(ran.stdout) if ran.stdout else ran.stderr

    assert run("reap")["requeued"] == 1
    assert {job["id"] for job in run("jobs", "list", "--state", "queued")} == {waiting, lost}
    assert run("jobs", "list", "--owner", "nobody") == []
    assert run("jobs", "show", lost)["setbacks"] == {"worker_lost": 1}
    assert "is cancelled" in run("jobs", "cancel", waiting)
    assert run("jobs", "cancel", waiting) == f"{waiting} is cancelled.\n", "twice is no error"
    assert "no job" in run("jobs", "cancel", "job_0", status=1)
    for listed in (run("retention", "--dry-run"), run("retention")):
        assert [(one["kind"], one["id"]) for one in listed] == [("job", waiting)]
    assert run("retention", "--dry-run") == []
    damaged = run("storage", "check", "--hashes", status=1)
    dataset = run("jobs", "show", lost)["dataset_id"]
    assert dataset in {one["row"] for one in damaged["findings"]}, "it was made ready without files"
    assert {one["fault"] for one in damaged["findings"]} == {"missing"}
    stray = settings.data_dir / "blobs" / "elsewhere" / "notes.txt"
    stray.parent.mkdir()
    stray.write_bytes(b"somebody's own")
    found = run("storage", "check", status=1)["findings"]
    assert [one["key"] for one in found if one["fault"] == "orphan"] == ["elsewhere/notes.txt"]
    assert run("storage", "sweep", "--yes") == []
    assert stray.exists(), "it is named, and left to whoever put it there"


def test_sweep(
    http: TestClient,
    database: Database,
    database_url: str,
    settings: Settings,
    storage: LocalStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Above a tenth, by hand: it says of how many files and which database, and asks."""
    monkeypatch.setattr(logs, "configure", lambda *_arguments, **_named: None)
    monkeypatch.setattr("core.admin.storage.check_files", partial(check_files, older_than_seconds=0))
    sent = upload(http)["id"]
    lost = [f"uploads/up_{number}" for number in range(3)]
    for key in lost:
        with storage.receive() as receiver:
            receiver.write(b"left behind")
            receiver.store(key)

    def run(*arguments: str, answer: str = "", status: int = 0) -> Result:
        with process_settings(monkeypatch, data_dir=settings.data_dir, database_url=database_url):
            get_database.cache_clear()
            get_storage.cache_clear()
            with capture_logs():
                ran = CliRunner().invoke(app, ["storage", "sweep", *arguments], input=answer)
            get_database().engine.dispose()
            get_database.cache_clear()
            get_storage.cache_clear()
        assert ran.exit_code == status, ran.output
        return ran

    early = run("--yes")
    assert "3 of 4 files belong to nothing in " in early.stderr
    assert "3 of them are kept for a day: the first until 2" in early.stderr
    assert "0 files deleted" in early.stderr
    seen_before(database, 25)
    for answer in ("n\n", ""):
        kept = run(answer=answer, status=1)
        assert "3 already did a day ago: 75% of all files.\nDelete them?" in kept.stderr
        assert set(lost) <= set(storage.keys())
    assert run(answer="y\n").stdout.splitlines()[-4:] == ["key", *lost]
    assert list(storage.keys()) == [f"uploads/{sent}"]
    assert json.loads(run("--yes", "--json").stdout) == []
