"""An upload, or a path on the server, becomes a data set."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.catalogue.datasets import dataset_prefix
from core.data.import_path import resolve_import
from core.data.ingest import ingest
from core.data.limits import Limits
from core.data.process_limits import process_limits
from core.db.models import Dataset
from core.errors import DataError, InvalidRequest
from core.failpoints import reach
from core.work.transitions import held_by, move, require
from worker.attempt import Attempt
from worker.uploads import admit_result, opened_upload


def run(attempt: Attempt) -> None:
    """Read, validate and convert; then publish the canonical form.

    Raises:
        DataError: the upload or the path cannot be used.
    """
    settings, storage = attempt.settings, attempt.storage
    with attempt.database.reading() as session:
        dataset = attempt.dataset(session)
    limits = Limits(
        members=settings.max_archive_members,
        member_bytes=settings.max_member_bytes,
        expanded_bytes=settings.max_expanded_bytes,
        ratio=settings.max_expansion_ratio,
        image_bytes=settings.max_image_bytes,
        image_pixels=settings.max_image_pixels,
        images=settings.max_images,
        classes=settings.max_classes,
        canonical_bytes=settings.max_canonical_bytes,
    )

    def report(done: int, total: int | None) -> None:
        attempt.stop_if_asked()
        if attempt.due():
            with attempt.writing() as session:
                data = {"images": done, "total": total}
                attempt.progress(session, data, images_done=done, images_total=total)

    prefix = f"{dataset_prefix(dataset.id)}/a{attempt.lease.fence}"
    with storage.scratch() as folder, _source(attempt, dataset) as source:
        out = folder / "canonical"
        with process_limits(
            memory_bytes=settings.max_ingest_memory_bytes, cpu_seconds=settings.max_ingest_cpu_seconds
        ):
            manifest = ingest(
                source,
                out,
                limits=limits,
                image_size=dataset.image_size,
                channels=dataset.channels,
                seed=dataset.seed,
                progress=report,
            )
        size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
        reach("ingest.written")
        admit_result(attempt, dataset.owner, size)
        storage.put(prefix, out)
    reach("ingest.stored")
    facts = json.loads(manifest.to_json())
    count = sum(split["count"] for split in facts["splits"].values())
    with attempt.writing() as session:
        published = move(
            session, Dataset, dataset.id, "ready", *held_by(Dataset, attempt.lease.fence),
            data={"images": count, "classes": len(facts["classes"])},
            manifest=facts, content_hash=facts["content_hash"], image_size=facts["image_size"],
            channels=facts["channels"], images_done=count, images_total=count, blob_prefix=prefix, size=size,
        )  # fmt: skip
        require(published, dataset.id, attempt.lease.fence)


@contextmanager
def _source(attempt: Attempt, dataset: Dataset) -> Iterator[Path]:
    """Raises DataError: the upload is gone or damaged, or the path may not be read (any more)."""
    if dataset.source_path is not None:
        try:
            path = resolve_import(dataset.source_path, attempt.settings.import_dirs)
        except InvalidRequest as error:
            raise DataError(error.detail, code=error.code) from error
        yield path
        return
    with opened_upload(attempt, dataset.upload_id) as (path, _):
        yield path
