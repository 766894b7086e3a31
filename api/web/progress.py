"""How far a job is, in words and as a bar: as its worker has reported it, whatever the kind."""

from typing import Any

from api.schemas.jobs import JobOut

#: In no worker's hands: nothing moves.
AT_REST = ("queued", "paused")


def progress_of(job: JobOut) -> dict[str, Any]:
    """How far the job is: `value` of `most`, in `text`, and the seconds left if they are known.

    What was reported of the phase before says nothing of this one.
    """
    reported = job.progress or {}
    found = {"value": reported.get("done", 0), "most": reported.get("total", 1), "left": None}
    here = reported if reported.get("phase") == job.phase else {}
    if job.state in AT_REST:
        waits = {"queued": "waits for its turn", "paused": "paused"}[job.state]
        return {**found, "text": f"{waits}; so far: {here['text']}" if "text" in here else waits}
    return {**found, "left": here.get("seconds_left"), "text": here.get("text", f"{job.phase} begins")}
