"""A place where attempts run as a worker runs them: supervised, in processes of their own."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.data.ingest import ingest
from core.data.limits import Limits
from core.db.models import Dataset, Job
from core.db.session import Database
from core.kinds.condense.spec import CondenseSpec
from core.settings import Settings
from core.storage import Storage, storage_of
from core.storage.local import LocalStorage
from core.work.transitions import Leased
from tests.support.databases import migrated_sqlite
from tests.support.leased import (
    TINY,
    add_dataset,
    add_job,
    event_types,
    new_row,
    process_settings,
    take,
)
from tests.support.processes import wait_for
from tests.unit.data.builders import folder, make_zip

ROOT = Path(__file__).parents[2]

#: Far more than any test waits for.
ENDLESS = 1_000_000


@dataclass
class Workplace:
    settings: Settings
    database: Database
    storage: Storage

    def new_dataset(self) -> str:
        """40 images of 16 px in two classes, in canonical form and ready."""
        with self.storage.scratch() as work:
            source = make_zip(work / "upload", folder(each=20))
            manifest = ingest(source, work / "canonical", limits=Limits())
            with self.database.writing() as session:
                dataset = add_dataset(
                    session, state="ready", manifest=json.loads(manifest.to_json()),
                    content_hash=manifest.content_hash, image_size=manifest.image_size,
                )  # fmt: skip
                dataset.blob_prefix = f"datasets/{dataset.id}/a1"
                self.storage.put(dataset.blob_prefix, work / "canonical")
                return dataset.id

    def new_job(self, dataset_id: str | None = None, **spec: Any) -> str:
        chosen = CondenseSpec.model_validate(TINY | spec)
        dataset_id = dataset_id or self.new_dataset()
        with self.database.writing() as session:
            data_hash = session.get_one(Dataset, dataset_id).content_hash
            return add_job(session, spec=chosen, dataset_id=dataset_id, data_hash=data_hash).id

    def new_upload_dataset(self, upload_id: str) -> str:
        return new_row(self.database, Dataset, upload_id=upload_id)

    def attempt(
        self, row_id: str, model: Leased = Job, *, meanwhile: Callable[[], object] | None = None
    ) -> None:
        """Claim a row and supervise the attempt to its end, while something happens to it."""
        # Importing the Celery application reads the settings, so not before they are set.
        from worker.supervise import supervise

        lease = take(self.database, row_id, model, seconds=self.settings.lease_seconds)
        with ThreadPoolExecutor(1) as pool:
            happening = pool.submit(_or_stop, meanwhile) if meanwhile else None
            supervise(lease, self.settings, self.database, self.storage)
            if happening:
                happening.result()

    def wait_for_event(self, row_id: str, event: str) -> None:
        wait_for(lambda: event in event_types(self.database, row_id))

    def path(self, key: str) -> Path:
        """Where a blob is in the data directory."""
        assert isinstance(self.storage, LocalStorage)
        return self.storage.path(key)

    def blobs_of(self, row_id: str) -> list[str]:
        return list(self.storage.keys(f"jobs/{row_id}"))


def drain() -> None:
    """What SIGTERM to the worker does to the processes of its pool."""
    from worker import app

    app.drain()


def _or_stop(meanwhile: Callable[[], object]) -> None:
    try:
        meanwhile()
    except BaseException:
        drain()  # or a job without end would hide why
        raise


@contextmanager
def workplace(
    database: Database, url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch, **settings: object
) -> Iterator[Workplace]:
    """Quick to notice things, slow to give up, on this database."""
    chosen: dict[str, object] = {
        "data_dir": data_dir,
        "database_url": url,
        "device": "cpu",
        "heartbeat_seconds": 0.2,
        "checkpoint_seconds": 0.1,
        "progress_seconds": 0.1,
    }
    monkeypatch.chdir(ROOT)
    with process_settings(monkeypatch, **(chosen | settings)) as made:
        from worker import app

        try:
            yield Workplace(made, database, storage_of(made))
        finally:
            app._draining[0] = 0


@contextmanager
def embedded_workplace(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    """On SQLite, for what does not depend on the database."""
    url = migrated_sqlite(root)
    database = Database(url)
    with workplace(database, url, root / "data", monkeypatch) as made:
        yield made
    database.engine.dispose()
