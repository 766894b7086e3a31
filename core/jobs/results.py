"""What a job has found so far: evaluations summed up, and its loss curve."""

import statistics
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.db.models import AccuracyPoint, Evaluation, Job, Metric
from core.jobs.spec import JobSpec

METHODS = ("condensed", "png", "random", "herding", "k-center", "whole")

CONFUSION_CLASSES = 256
"""A confusion matrix of more classes is not kept: it would be most of every answer about its job."""

NAMED_CLASSES = 20
"""Small classes that a result names; of more it says how many there are."""


def small_classes(spec: JobSpec, images_by_class: list[tuple[str, int]]) -> dict[str, dict[str, Any]]:
    """Which classes have fewer images than `batch_real`, and than `ipc`.

    The first ones' real batches repeat images; so do the second ones' initial images, and the baselines'
    selections. Each image is there equally often, up to one.

    Args:
        images_by_class: name and images in the training split. A class without any takes no part.
    """

    def smaller_than(limit: int) -> dict[str, Any]:
        small = [{"name": name, "images": n} for name, n in images_by_class if 0 < n < limit]
        return {"limit": limit, "count": len(small), "first": small[:NAMED_CLASSES]}

    return {"batch_real": smaller_than(spec.condense_config().batch_real), "ipc": smaller_than(spec.ipc)}


def summarise(spec: JobSpec, evaluations: list[Evaluation]) -> list[dict[str, Any]]:
    """Mean ± sample standard deviation over the networks of each method.

    In order of network, the job's own first, then of method. Accuracies are fractions of the untouched test
    split, at the last epoch.
    """
    groups: dict[tuple[str, str], list[Evaluation]] = {}
    for one in evaluations:
        groups.setdefault((one.method, one.network), []).append(one)
    networks = {on.network_name(): n for n, on in enumerate(spec.architectures())}
    return [
        {
            "method": method,
            "network": network,
            "n": len(rows),
            "mean": statistics.fmean(one.accuracy for one in rows),
            "std": statistics.stdev(one.accuracy for one in rows) if len(rows) > 1 else None,
            "accuracies": [one.accuracy for one in rows],
            "per_class": _mean_by_class([one.per_class for one in rows]),
            "confusion": _sum_of_counts([one.confusion for one in rows]),
            "train_images": rows[0].train_images,
            "epochs": rows[0].epochs,
            "seconds": sum(one.seconds for one in rows),
        }
        for (method, network), rows in sorted(
            groups.items(),
            key=lambda item: (networks.get(item[0][1], len(networks)), METHODS.index(item[0][0])),
        )
    ]


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


def evaluations_of(session: Session, job: Job) -> list[Evaluation]:
    statement = select(Evaluation).where(Evaluation.job_id == job.id, Evaluation.owner == job.owner)
    return list(session.scalars(statement.order_by(Evaluation.method, Evaluation.network, Evaluation.repeat)))


def accuracy_points_of(session: Session, job: Job) -> list[AccuracyPoint]:
    """A row for each network that was trained on the images while they formed, by iteration."""
    statement = select(AccuracyPoint).where(AccuracyPoint.job_id == job.id, AccuracyPoint.owner == job.owner)
    return list(session.scalars(statement.order_by(AccuracyPoint.iteration, AccuracyPoint.repeat)))


def accuracy_curve(points: list[AccuracyPoint]) -> list[dict[str, Any]]:
    """Mean ± sample standard deviation over the networks of each iteration, in their order."""
    groups: dict[int, list[float]] = {}
    for one in points:
        groups.setdefault(one.iteration, []).append(one.accuracy)
    return [
        {
            "iteration": iteration,
            "mean": statistics.fmean(accuracies),
            "std": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
            "n": len(accuracies),
        }
        for iteration, accuracies in sorted(groups.items())
    ]


def loss_curve(session: Session, job: Job, after: int, limit: int) -> list[Metric]:
    """Points after an iteration. Where a resumed attempt repeated one, the later attempt's.

    Of each attempt, the part that may be on the page is read by the primary key: the cost does not grow
    with the curve.
    """
    points: dict[int, Metric] = {}
    newest = select(func.max(Metric.fence)).where(Metric.job_id == job.id)
    fence = session.scalar(newest)
    while fence is not None:
        of_attempt = (
            select(Metric)
            .where(Metric.job_id == job.id, Metric.fence == fence, Metric.iteration > after)
            .where(Metric.owner == job.owner)
            .order_by(Metric.iteration)
            .limit(limit)
        )
        for point in session.scalars(of_attempt):
            points.setdefault(point.iteration, point)
        fence = session.scalar(newest.where(Metric.fence < fence))
    return [points[iteration] for iteration in sorted(points)[:limit]]
