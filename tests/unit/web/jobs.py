"""A job as the API gives it out, for pages."""

from datetime import UTC, datetime
from typing import Any

from api.schemas.jobs import JobOut
from core.kinds.condense.spec import CondenseSpec

SPEC = CondenseSpec.model_validate({"ipc": 1, "iterations": 100}).resolved(32, 50_000, 10)


def job_out(**given: Any) -> JobOut:
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "id": "job_1", "kind": "condense", "condensed_set_id": None,
        "created_at": now, "updated_at": now, "started_at": now, "finished_at": None,
        "name": None, "dataset_id": None, "data_hash": "", "state": "running", "phase": "condense",
        "priority": 1, "iteration": 0, "progress": None, "resumes": 0, "fence": 1, "setbacks": {},
        "retry_at": None, "spec": SPEC, "result": None, "problem": None,
    }  # fmt: skip
    return JobOut.model_validate(values | given)
