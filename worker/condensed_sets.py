"""An upload, or several condensed sets, become a condensed set with its artifacts."""

from pathlib import Path
from typing import Any

from core.condensed.join import joined
from core.condensed.published.limits import PublishedLimits
from core.condensed.published.stated import Facts
from core.condensed.publishing import facts_of
from core.condensed.rows import canonical_file
from core.condensed.uploaded import read_upload
from core.data.process_limits import process_limits
from core.db.models import Artifact, CondensedSet, Dataset
from core.errors import DataError
from core.export import safetensors
from core.export.artifacts import WrittenArtifact, write_all
from core.export.condensed import CondensedSet as Images
from core.failpoints import reach
from core.ids import new_id
from core.work.files import condensed_set_prefix
from core.work.transitions import held_by, move, require
from worker.attempt import Attempt
from worker.uploads import admit_result, opened_upload


def run(attempt: Attempt) -> None:
    """Read or merge, write every format, then publish them.

    Raises:
        DataError: the upload cannot be used, or leaves something open.
    """
    settings, storage = attempt.settings, attempt.storage
    with attempt.database.reading() as session:
        row = attempt.row(session)
        assert isinstance(row, CondensedSet)
    prefix = condensed_set_prefix(row.id, attempt.lease.fence)
    with storage.scratch() as folder:
        out = folder / "artifacts"
        with process_limits(
            memory_bytes=settings.max_ingest_memory_bytes, cpu_seconds=settings.max_ingest_cpu_seconds
        ):
            images, facts = _merged(attempt, row) if row.parents else _uploaded(attempt, row, folder)
            attempt.stop_if_asked()
            written = write_all(images, out)
        attempt.stop_if_asked()
        reach("condensed.written")
        admit_result(attempt, row.owner, sum(one.size for one in written))
        storage.put(prefix, out)
    reach("condensed.stored")
    license = images.card["source"]["license"]
    _publish(attempt, row, written, prefix, {**facts, "license": license})


def _publish(
    attempt: Attempt, row: CondensedSet, written: list[WrittenArtifact], prefix: str, facts: dict[str, Any]
) -> None:
    fence = attempt.lease.fence
    with attempt.writing() as session:
        published = move(
            session, CondensedSet, row.id, "ready", *held_by(CondensedSet, fence),
            data={"artifacts": len(written), "classes": facts["classes"]}, blob_prefix=prefix, **facts,
        )  # fmt: skip
        require(published, row.id, fence)
        session.add_all(
            Artifact(
                id=new_id("art"), condensed_set_id=row.id, owner=row.owner, fence=fence, format=one.format,
                file_name=one.file_name, media_type=one.media_type, size=one.size, sha256=one.sha256,
                blob_key=f"{prefix}/{one.path.name}",
            )
            for one in written
        )  # fmt: skip


def _uploaded(attempt: Attempt, row: CondensedSet, folder: Path) -> tuple[Images, dict[str, Any]]:
    work = folder / "expanded"
    work.mkdir()
    with opened_upload(attempt, row.upload_id) as (path, sha256):
        found = read_upload(
            path, work, name=row.name, sha256=sha256, license=row.license, stated=row.stated or {},
            facts=_facts(attempt, row), limits=PublishedLimits(),
        )  # fmt: skip
    facts = facts_of(found.condensed)
    return found.condensed, {**facts, "manifest": {**facts["manifest"], **found.noticed}}


def _facts(attempt: Attempt, row: CondensedSet) -> Facts | None:
    if row.dataset_id is None:
        return None
    with attempt.database.reading() as session:
        manifest = session.get_one(Dataset, row.dataset_id).manifest
    assert manifest is not None, "a data set that is ready has one"
    return Facts(
        classes=tuple(manifest["classes"]), channels=manifest["channels"], height=manifest["image_size"],
        width=manifest["image_size"], mean=tuple(manifest["mean"]), std=tuple(manifest["std"]),
    )  # fmt: skip


def _merged(attempt: Attempt, row: CondensedSet) -> tuple[Images, dict[str, Any]]:
    """Raises DataError: a file of one of the sets is gone or damaged, or the whole is too large."""
    limits, sets, values = PublishedLimits(), [], 0
    for parent in row.parents or ():
        with attempt.database.reading() as session:
            artifact = canonical_file(session, parent)
        if artifact is None:
            raise DataError(f"{parent} was deleted before it was merged", code="condensed_set_deleted")
        try:
            with attempt.storage.local_file(artifact.blob_key) as path:
                sets.append(safetensors.read(path))
        except OSError as error:
            raise DataError(f"{parent} is damaged: {error}", code="condensed_set_damaged") from error
        attempt.stop_if_asked()
        values += len(sets[-1].images_NCHW)
        limits.check_images((values, *sets[-1].images_NCHW.shape[1:]), "the merged set")
    images = joined(sets, name=row.name, license=row.license)
    return images, facts_of(images)
