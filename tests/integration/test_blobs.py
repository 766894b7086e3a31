"""The same bytes are one file, as long as anybody's upload has them, whatever happens at once."""

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from core.catalogue.blobs import file_key_of
from core.catalogue.uploads import create_upload, delete_upload
from core.db.models import Blob, Upload
from core.db.session import Database
from core.ids import new_id
from core.settings import Settings
from core.storage.local import LocalStorage
from tests.support.api import client_of, token_of, upload

THREADS, ROUNDS = 6, 25


def files_by_rows(database: Database) -> dict[str, str]:
    """The file of each digest that an upload has."""
    with database.reading() as session:
        used = set(session.scalars(select(Upload.sha256)))
        blobs = {blob.sha256: blob.file_key for blob in session.scalars(select(Blob))}
    assert set(blobs) == used, "a blob for each digest, and none without an upload"
    return blobs


def test_sent_twice_by_anybody_is_stored_once(
    app: FastAPI, database: Database, storage: LocalStorage, settings: Settings
) -> None:
    with client_of(app, token_of(database, "a")) as a, client_of(app, token_of(database, "b")) as b:
        first, second, third = upload(a, b"same"), upload(a, b"same"), upload(b, b"same")
        upload(b, b"other")
        assert first["sha256"] == second["sha256"] == third["sha256"]
        assert len({one["id"] for one in (first, second, third)}) == 3
        assert len(list(storage.keys())) == 2
        for one, owner in ((first, a), (second, a)):
            assert owner.delete(f"/v1/uploads/{one['id']}").status_code == 204
        file_key = files_by_rows(database)[third["sha256"]]
        assert storage.path(file_key).read_bytes() == b"same"
        assert b.delete(f"/v1/uploads/{third['id']}").status_code == 204
        assert sorted(storage.keys()) == list(files_by_rows(database).values())
    assert list((settings.data_dir / "tmp").iterdir()) == []


def test_in_pieces_and_at_once_are_the_same(http: TestClient, storage: LocalStorage) -> None:
    headers = {"Tus-Resumable": "1.0.0"}
    begun = http.post("/v1/uploads", headers={**headers, "Upload-Length": "4"}).headers["location"]
    upload(http, b"same")
    piece = {**headers, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    assert http.patch(begun, content=b"same", headers=piece).status_code == 204
    assert len(list(storage.keys())) == 1


def test_uploads_and_deletions_of_the_same_bytes_at_once(database: Database, storage: LocalStorage) -> None:
    contents = [b"one", b"another"]

    def work(seed: int) -> None:
        chance, mine = random.Random(seed), list[str]()
        for _ in range(ROUNDS):
            content, upload_id = chance.choice(contents), new_id("up")
            with storage.receive() as receiver:
                receiver.write(content)
                receiver.store(file_key_of(upload_id))
            with database.writing() as session:
                create_upload(
                    session, storage, "local", upload_id=upload_id, sha256=receiver.sha256,
                    size=receiver.size, file_name=None,
                )  # fmt: skip
            mine.append(upload_id)
            while mine and chance.random() < 0.6:
                with database.writing() as session:
                    delete_upload(session, storage, "local", mine.pop(chance.randrange(len(mine))))

    for attempt in range(3):
        with ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(work, attempt * THREADS + n) for n in range(THREADS)]:
                done.result()
        files = files_by_rows(database)
        assert sorted(storage.keys()) == sorted(files.values()), "every row has its file, every file its row"
        for sha256, file_key in files.items():
            assert hashlib.sha256(storage.path(file_key).read_bytes()).hexdigest() == sha256
