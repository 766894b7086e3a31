"""What trials have found: summed up, and as curves."""

import statistics
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.models import Job, Trial
from core.engine.protocols import PROTOCOLS
from core.trials.methods import METHODS

#: Groups of trials: of the finished images, and of those that form.
FINAL = "final"
CURVE = "curve"
#: Not tested: networks that a condensation matches in.
POOL = "pool"

CONFUSION_CLASSES = 256
"""A confusion matrix of more classes is not kept: it would be most of every answer about its job."""


def done_trials(session: Session, job: Job, group: str) -> list[Trial]:
    """Those with a result."""
    done = (Trial.job_id == job.id, Trial.owner == job.owner, Trial.group == group, Trial.state == "done")
    order = (Trial.step, Trial.method, Trial.network, Trial.repeat)
    return list(session.scalars(select(Trial).where(*done).order_by(*order)))


def summarise(networks: Sequence[str], trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Mean ± sample standard deviation over the networks of each method.

    In the order of `networks`, then of METHODS. Accuracies are fractions of the untouched test split, at the
    last epoch.
    """
    groups: dict[tuple[str, str], list[Trial]] = {}
    for one in trials:
        groups.setdefault((one.method, one.network), []).append(one)
    places = {network: n for n, network in enumerate(networks)}
    methods = list(METHODS)
    return [
        {
            "method": method,
            "network": network,
            "n": len(rows),
            "mean": statistics.fmean(accuracies_of(rows)),
            "std": statistics.stdev(accuracies_of(rows)) if len(rows) > 1 else None,
            "accuracies": accuracies_of(rows),
            "per_class": _mean_by_class([one.per_class or [] for one in rows]),
            "confusion": _sum_of_counts([one.confusion for one in rows]),
            "protocol": rows[0].protocol,
            "train_images": rows[0].train_images,
            "epochs": rows[0].epochs,
            "steps": _steps(rows[0]),
            "seconds": sum(one.seconds or 0.0 for one in rows),
        }
        for (method, network), rows in sorted(
            groups.items(),
            key=lambda item: (places.get(item[0][1], len(places)), methods.index(item[0][0])),
        )
    ]


def _steps(trial: Trial) -> int | None:
    """Training steps of one network; None of a trial that is older than the record of its images."""
    if trial.epochs is None or trial.train_images is None:
        return None
    return trial.epochs * PROTOCOLS[trial.protocol].steps_an_epoch(trial.train_images)


def accuracies_of(trials: Sequence[Trial]) -> list[float]:
    """Of trials that are done."""
    return [one.accuracy for one in trials if one.accuracy is not None]


def _mean_by_class(rows: list[list[float | None]]) -> list[float | None]:
    """A class without a test image has no accuracy, in any row."""
    return [
        None if None in values else statistics.fmean(v for v in values if v is not None)
        for values in zip(*rows, strict=True)
    ]


def _sum_of_counts(matrices: list[list[list[int]] | None]) -> list[list[int]] | None:
    """None if any is missing: a sum over some of the networks would pass for all."""
    known = [matrix for matrix in matrices if matrix is not None]
    if len(known) < len(matrices):
        return None
    return [[sum(counts) for counts in zip(*rows, strict=True)] for rows in zip(*known, strict=True)]


def accuracy_curve(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Mean ± sample standard deviation over the networks of each step, in their order."""
    groups: dict[int, list[Trial]] = {}
    for one in trials:
        groups.setdefault(one.step, []).append(one)
    return [
        {
            "iteration": step,
            "mean": statistics.fmean(accuracies_of(rows)),
            "std": statistics.stdev(accuracies_of(rows)) if len(rows) > 1 else None,
            "n": len(rows),
        }
        for step, rows in sorted(groups.items())
    ]


def gains(network: str, trials: Sequence[Trial]) -> dict[str, float | None]:
    """HLR and IOR, DD-Ranking's terms, in fractions: acc(whole) - acc(set), acc(set) - acc(random)."""
    groups: dict[str, list[float]] = {}
    for one in trials:
        if one.network == network and one.accuracy is not None:
            groups.setdefault(one.method, []).append(one.accuracy)
    mean = {method: statistics.fmean(values) for method, values in groups.items()}
    return {
        "hlr": mean["whole"] - mean["condensed"] if "whole" in mean else None,
        "ior": mean["condensed"] - mean["random"] if "random" in mean else None,
    }
