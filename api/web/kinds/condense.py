"""A condensation: its loss, its images as they form, its accuracy on the way."""

from typing import Any

from sqlalchemy.orm import Session

from api.schemas.datasets import ReportOut
from api.schemas.jobs import JobOut
from api.web import preview_strips
from api.web.accuracy_plot import accuracy_plot
from api.web.datasets import PREVIEW_CLASSES as REAL_CLASSES
from api.web.preview_strips import PREVIEW_CLASSES, PREVIEW_IMAGES
from core.db.models import Dataset, Job
from core.jobs.curves import curve
from core.jobs.snapshots import snapshots_of
from core.kinds.condense.spec import CondenseSpec
from core.storage import Storage
from core.trials.methods import USUAL_BASELINES

_POINTS_IN_WORDS = 20

#: What the form of a new job asks for first; the rest is behind "all settings".
FIRST = (
    "ipc", "recipe", "form", "augment", "evaluation.protocol", "evaluation.points", "evaluation.baselines",
    "name",
)  # fmt: skip
COSTS = {
    "evaluation.points": "Each costs as much as evaluating the finished set once; 0 gives no accuracy curve.",
    "evaluation.baselines": "Each trains as many networks as the condensed set does; on a large data set, "
    "whole costs by far the most.",
}


def suggested(report: ReportOut) -> dict[str, Any]:
    """What fits this data set, and what shows whether it was worth it: an accuracy curve, and the baseline
    that a condensed set has to beat; everything else is left to its default."""
    ipc = report.suggestions.get("ipc", [1])
    return {
        "evaluation.points": "3",
        "evaluation.baselines": list(USUAL_BASELINES),
        "ipc": str(ipc[min(len(ipc) - 1, 2)]),
        "recipe": "dance-short",
    }


def amounts(spec: CondenseSpec) -> dict[str, int]:
    assert spec.iterations is not None  # of a resolved spec
    return {"iterations": spec.iterations}


def shown(
    session: Session, storage: Storage, row: Job, job: JobOut, dataset: Dataset | None
) -> dict[str, Any]:
    spec = job.spec
    assert isinstance(spec, CondenseSpec)
    points = curve(session, row, "loss", 0, 10_000)
    snapshots = snapshots_of(session, row)
    classes = (dataset.manifest or {}).get("classes", []) if dataset else []
    forming, real = [], []
    if snapshots:
        # Of a data set that was deleted, the names of the classes are not known any more.
        named = classes or ["all"]
        forming = preview_strips.strips(storage, snapshots[-1].blob_key, named, PREVIEW_CLASSES)
        real = _real(storage, dataset, classes, spec.ipc) if dataset else []
    return {
        "scripts": ("curve.js", "forming.js"),
        "plot": accuracy_plot([job]),
        "evaluated_at": spec.evaluated_at(),
        "points": _some(points),
        "has_curve": bool(points),
        "snapshots": snapshots,
        "class_count": len(classes),
        "drawn": PREVIEW_IMAGES,
        "forming": forming,
        "real": real,
    }


def _real(storage: Storage, dataset: Dataset, classes: list[str], ipc: int) -> list[preview_strips.Strip]:
    found = preview_strips.strips(storage, f"{dataset.blob_prefix}/preview.png", classes, REAL_CLASSES)
    return preview_strips.beside(found, min(ipc, PREVIEW_IMAGES))


def _some(points: list[Any]) -> list[Any]:
    """For those who read the curve as a table: evenly spread, the last one always."""
    step = max(1, -(-len(points) // _POINTS_IN_WORDS))
    return points[::-1][::step][::-1]
