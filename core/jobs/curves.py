"""The curves of a job, such as its loss."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.db.models import Job, Metric


def curve(session: Session, job: Job, series: str, after: int, limit: int) -> list[Metric]:
    """Points after an x. Where a resumed attempt repeated one, the later attempt's.

    Of each attempt, the part that may be on the page is read by the primary key: the cost does not grow
    with the curve.
    """
    points: dict[int, Metric] = {}
    of_series = (Metric.job_id == job.id, Metric.series == series)
    newest = select(func.max(Metric.fence)).where(*of_series)
    fence = session.scalar(newest)
    while fence is not None:
        of_attempt = (
            select(Metric)
            .where(*of_series, Metric.fence == fence, Metric.x > after)
            .where(Metric.owner == job.owner)
            .order_by(Metric.x)
            .limit(limit)
        )
        for point in session.scalars(of_attempt):
            points.setdefault(point.x, point)
        fence = session.scalar(newest.where(Metric.fence < fence))
    return [points[x] for x in sorted(points)[:limit]]
