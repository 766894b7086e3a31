"""Which machines a job's images and accuracies come from: kept in its result from its first iteration on."""

from collections.abc import Mapping
from typing import Any

Result = Mapping[str, Any]


def condensing_on(result: Result | None, environment: dict[str, Any], after: int) -> dict[str, Any]:
    """The result, once this environment goes on condensing after so many iterations.

    `environment` in it is the newest, `condensed_on` all that the images have been through, each with the
    iterations that were done before. What an attempt did after the iteration that another went on from left
    nothing in the images.
    """
    before = (result or {}).get("condensed_on", [])
    spans = [span for span in before if span["after"] < after]
    if not spans or spans[-1]["environment"] != environment:
        spans.append({"after": after, "environment": environment})
    return {**(result or {}), "environment": environment, "condensed_on": spans}


def evaluating_on(result: Result | None, environment: dict[str, Any]) -> dict[str, Any]:
    """The result, once a network was scored in this environment."""
    known = (result or {}).get("evaluated_on", [])
    found = known if environment in known else [*known, environment]
    # A job whose images are older than this record says at least where it was evaluated.
    return {"environment": environment, **(result or {}), "evaluated_on": found}


def stated(result: Result | None) -> dict[str, Any]:
    """For the card: the environment that made the images, the last one of several, and beside it the others.

    `condensed_on` and `evaluated_on` are there only if they say more than that.
    """
    if not result:
        return {}
    environment = result["environment"]
    spans, evaluated_on = result.get("condensed_on", []), result.get("evaluated_on", [])
    more: dict[str, Any] = {}
    if len(spans) > 1:
        more["condensed_on"] = spans
    if evaluated_on not in ([], [environment]):
        more["evaluated_on"] = evaluated_on
    return {**environment, **more}
