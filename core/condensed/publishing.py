"""Rows of condensed sets whose images are at hand: what the API, which reads no pixel, does not import."""

from typing import Any

from sqlalchemy.orm import Session

from core.db.models import CondensedSet, Job
from core.db.types import db_now
from core.export.condensed import CondensedSet as Images
from core.ids import new_id


def published_set(session: Session, job: Job, images: Images, *, name: str, blob_prefix: str) -> str:
    """The id of the set that a job has made, whose artifacts are stored under `blob_prefix`."""
    fresh = new_id("cs")
    row = CondensedSet(
        id=fresh,
        owner=job.owner,
        name=name,
        state="ready",
        job_id=job.id,
        dataset_id=job.dataset_id,
        data_hash=job.data_hash,
        license=images.card["source"]["license"],
        blob_prefix=blob_prefix,
        fence=0,
        finished_at=db_now(),
        **facts_of(images),
    )
    session.add(row)
    session.flush()
    return fresh


def facts_of(images: Images) -> dict[str, Any]:
    """The columns that say what is in a set."""
    _, channels, height, _ = images.images_NCHW.shape
    most = max(images.images_per_class)
    factor = 1 if images.collages is None else images.collages.factor
    return {
        "classes": len(images.classes),
        "channels": channels,
        "image_size": height,
        "form": "pixels" if factor == 1 else f"collage-{factor}",
        "stored": most // factor**2,
        "decoded": most,
        "manifest": {"classes": list(images.classes), "mean": list(images.mean), "std": list(images.std)},
    }
