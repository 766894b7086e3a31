"""How far a job is, in words and as a bar."""

from typing import Any

from api.schemas.jobs import JobOut

#: In no worker's hands: nothing moves.
AT_REST = ("queued", "paused")


def progress_of(job: JobOut) -> dict[str, Any]:
    """How far the job is: `value` of `most` in its phase, in `text`, and the seconds left if they are known.

    The progress event may be of the phase before: then nothing is known of this one yet.
    """
    told = job.progress or {}
    if told.get("phase") != job.phase or job.state in AT_REST:
        told = {}
    match job.phase:
        case "condense":
            found = _condensing(job, told)
        case "evaluate":
            found = _evaluating(job, told)
        case _:
            found = {"value": 1, "most": 1, "text": "writing the files"}
    if job.state in AT_REST:
        found["text"] = _at_rest(job, found["text"])
    return {"left": told.get("seconds_left"), **found}


def _condensing(job: JobOut, told: dict[str, Any]) -> dict[str, Any]:
    most = job.spec.iterations or 1
    text = f"iteration {job.iteration:,} of {most:,}"
    if now := told.get("evaluating"):
        text += (
            f"; now evaluating its images: network {now['network']:,} of {now['networks']:,}, "
            f"epoch {now['epoch']:,} of {now['epochs']:,}"
        )
    return {"value": job.iteration, "most": most, "text": text}


def _evaluating(job: JobOut, told: dict[str, Any]) -> dict[str, Any]:
    methods = 2 + sum(one != "whole" for one in job.spec.evaluation.baselines)
    networks = job.spec.evaluation.networks
    most = networks * (methods * len(job.spec.architectures()) + ("whole" in job.spec.evaluation.baselines))
    done = sum(one.n for one in job.evaluations)
    text = f"{done} of {most} networks trained and tested"
    if not told.get("epochs"):
        return {"value": done, "most": most, "text": text}
    text += f"; now {told.get('method', '')}, epoch {told['epoch']:,} of {told['epochs']:,}"
    return {"value": min(done + told["epoch"] / told["epochs"], most), "most": most, "text": text}


def _at_rest(job: JobOut, reached: str) -> str:
    waits = {"queued": "waits for its turn", "paused": "paused"}[job.state]
    match job.phase:
        case "condense" if not job.iteration:
            return waits if job.state == "queued" else "paused before the first iteration"
        case "condense":
            return f"{waits + ', to go on' if job.state == 'queued' else waits} after {reached}"
        case "evaluate":
            return f"{waits}; {reached}"
        case _:
            return f"{waits}; the files are still to be written"
