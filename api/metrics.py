"""What Prometheus scrapes: metrics of the whole service from its database, and of this process's HTTP.

Every API process tells the same of the service, since it asks the database when it is scraped; what is said
of HTTP is of the process that says it. Names and their use: docs/operations.md.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.datastructures import Headers
from starlette.types import Message, Scope

from core import service_metrics
from core.db.session import Database
from core.version import __version__
from core.vocabulary import INTAKE_QUEUE, JOB_HELD, JOB_TERMINAL, JOB_WAITING, QUEUES
from core.work.workers import all_workers, seconds_since_heartbeat

log = structlog.get_logger(__name__)

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_QUANTILES: Final = (0.5, 0.9, 1.0)
#: What is added up over all of history costs more than all else, and changes slowly.
_TOTALS_SECONDS: Final = 60.0


class Metrics:
    """The metrics of one application, in a registry of their own."""

    def __init__(self, database: Database) -> None:
        self.registry = CollectorRegistry()
        self.http = HttpMetrics(self.registry)
        Info("condensery_build", "What runs.", registry=self.registry).info({"version": __version__})
        ProcessCollector(registry=self.registry)
        self.registry.register(ServiceCollector(database))

    def scrape(self, accept: str) -> tuple[bytes, str]:
        """The text, and its media type."""
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type


@dataclass(frozen=True)
class Answer:
    """A request that is being answered."""

    streams: Gauge | None

    def ended(self) -> None:
        if self.streams is not None:
            self.streams.dec()


class HttpMetrics:
    """Requests by route template, so that the number of series is bounded whatever clients send."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("method", "route", "status")
        self._requests = Counter("condensery_http_requests", "Requests.", labels, registry=registry)
        self._seconds = Histogram(
            "condensery_http_request_seconds",
            "Until the answer began: what a slow reader or an open stream takes after that does not count.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._streams = Gauge("condensery_http_event_streams", "Open event streams.", registry=registry)

    def answered(self, scope: Scope, start: Message, seconds: float) -> Answer:
        """Count a request whose answer begins with the message `start`."""
        method, route = _method(scope), _route(scope)
        self._requests.labels(method, route, str(start["status"])).inc()
        self._seconds.labels(method, route).observe(seconds)
        kind = Headers(raw=start["headers"]).get("content-type", "")
        if not kind.startswith("text/event-stream"):
            return Answer(None)
        self._streams.inc()
        return Answer(self._streams)

    def unanswered(self, scope: Scope) -> None:
        """Count a request that ended without an answer: its client went away."""
        self._requests.labels(_method(scope), _route(scope), "none").inc()


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "none")


class ServiceCollector(Collector):
    """Asks the database at each scrape. One that does not answer leaves `condensery_database_up 0`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._totals: _Totals | None = None
        self._adding_up = threading.Lock()

    def describe(self) -> list[Metric]:
        return []  # or the database would be asked when the registry is made

    def collect(self) -> Iterator[Metric]:
        started = time.perf_counter()
        try:
            totals = self._recent_totals()
            with self._database.reading() as session:
                found = [
                    *_queues(session, totals),
                    *_work(session),
                    *_durations(session),
                    *_workers(session),
                ]
        except SQLAlchemyError as error:
            log.warning("not all metrics: the database does not answer", error=str(error))
            yield _gauge("database_up", "1 if the database answered this scrape.", {(): 0})
            return
        yield from found
        stored = {(kind,): size for kind, size in totals.stored_bytes.items()}
        yield _gauge("stored_bytes", "Stored bytes, by kind.", stored, "kind")
        orphans = {(): totals.orphan_files}
        yield _gauge("orphan_files", "Files that belonged to nothing at the last sweep.", orphans)
        yield _gauge("database_up", "1 if the database answered this scrape.", {(): 1})
        took = time.perf_counter() - started
        yield _gauge("scrape_seconds", "What the questions to the database took.", {(): took})

    def _recent_totals(self) -> "_Totals":
        """Old ones are handed out once more while they are renewed: only the first scrape waits."""
        known = self._totals
        if known is None:
            with self._adding_up:
                return self._totals or self._renew()
        if time.monotonic() - known.at >= _TOTALS_SECONDS and self._adding_up.acquire(blocking=False):
            threading.Thread(target=self._renew_and_release, name="totals", daemon=True).start()
        return known

    def _renew(self) -> "_Totals":
        with self._database.reading() as session:
            ended = service_metrics.jobs_by_state(session, JOB_TERMINAL)
            stored = service_metrics.stored_bytes(session)
            orphans = service_metrics.orphan_files(session)
        self._totals = _Totals(at=time.monotonic(), ended=ended, stored_bytes=stored, orphan_files=orphans)
        return self._totals

    def _renew_and_release(self) -> None:
        try:
            self._renew()
        except SQLAlchemyError as error:
            log.warning("totals not renewed: the database does not answer", error=str(error))
        finally:
            self._adding_up.release()


@dataclass(frozen=True, kw_only=True)
class _Totals:
    """What grows with history, and when it was added up."""

    at: float
    ended: Mapping[str, Mapping[str, int]]
    stored_bytes: Mapping[str, int]
    orphan_files: int


def _queues(session: Session, totals: _Totals) -> Iterator[Metric]:
    jobs = {**service_metrics.jobs_by_state(session, (*JOB_WAITING, *JOB_HELD)), **totals.ended}
    depth = {(queue, state): jobs[state][queue] for queue in QUEUES for state in (*JOB_WAITING, *JOB_HELD)}
    yield _gauge("queue_jobs", "Jobs that have not ended, by queue and state.", depth, "queue", "state")
    by_state = {(state,): sum(queues.values()) for state, queues in jobs.items()}
    yield _gauge("jobs", "Jobs by state; those that have ended until they are deleted.", by_state, "state")
    datasets = {(state,): n for state, n in service_metrics.datasets_by_state(session).items()}
    yield _gauge("datasets", "Data sets by state.", datasets, "state")
    waiting = {(INTAKE_QUEUE,): service_metrics.datasets_waiting(session)}
    yield _gauge("queue_datasets", "Data sets that wait to be read in.", waiting, "queue")
    oldest = {(queue,): seconds for queue, seconds in service_metrics.oldest_waiting_seconds(session).items()}
    yield _gauge("queue_oldest_seconds", "How long the row that waits longest has waited.", oldest, "queue")


def _work(session: Session) -> Iterator[Metric]:
    running = service_metrics.running_jobs(session)
    speeds = {(one.job_id, one.phase): one.steps_per_second for one in running}
    memory = {(one.job_id, one.phase): one.memory_bytes for one in running}
    about = "of each job in work, as it last reported"
    yield _gauge("job_steps_per_second", f"Iterations a second, {about}.", speeds, "job", "phase")
    yield _gauge("job_memory_bytes", f"Most memory taken on the device, {about}.", memory, "job", "phase")
    overdue = service_metrics.overdue_leases(session)
    yield _gauge("leases_overdue", "Rows whose worker is silent for longer than its lease.", {(): overdue})


def _durations(session: Session) -> Iterator[Metric]:
    recent = service_metrics.recent_durations(session)
    at = {
        (phase, f"{q:g}"): seconds[min(len(seconds) - 1, int(q * len(seconds)))]
        for phase, seconds in recent.items()
        for q in _QUANTILES
        if seconds
    }
    about = (
        f"Work on a job by phase, of those of the last {service_metrics.RECENT_JOBS} to end that succeeded."
    )
    yield _gauge("job_phase_seconds", about, at, "phase", "quantile")


def _workers(session: Session) -> Iterator[Metric]:
    alive = all_workers(session)
    yield _gauge("workers", "Workers that have not signed off, dead ones for a day.", {(): len(alive)})
    silent = {(): seconds_since_heartbeat(session)}
    yield _gauge("worker_heartbeat_seconds", "Since the last heartbeat of any worker.", silent)


def _gauge(name: str, help_text: str, values: Mapping[Any, float | None], *labels: str) -> GaugeMetricFamily:
    """`values` are by the tuple of their labels' values; one that is None is left out."""
    family = GaugeMetricFamily(f"condensery_{name}", help_text, labels=labels)
    for of, value in values.items():
        if value is not None:
            family.add_metric(of, value)
    return family
