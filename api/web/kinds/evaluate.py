"""An evaluation: which condensed set it is of."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.schemas.datasets import ReportOut
from api.schemas.jobs import JobOut
from core.db.models import CondensedSet, Dataset, Job
from core.kinds.evaluate.spec import EvaluateSpec
from core.storage import Storage
from core.trials.methods import USUAL_BASELINES

FIRST = ("architectures", "networks", "epochs", "baselines", "name")
COSTS = {"baselines": "Each trains as many networks as the condensed set does; whole costs by far the most."}


def suggested(report: ReportOut) -> dict[str, Any]:
    """What shows whether the set is worth it: the baseline that it has to beat."""
    return {"architectures": ["convnet"], "baselines": list(USUAL_BASELINES)}


def amounts(spec: EvaluateSpec) -> dict[str, int]:
    return {}


def shown(
    session: Session, storage: Storage, row: Job, job: JobOut, dataset: Dataset | None
) -> dict[str, Any]:
    mine = (CondensedSet.id == row.condensed_set_id, CondensedSet.owner == row.owner)
    return {"scripts": (), "condensed": session.scalar(select(CondensedSet).where(*mine))}
