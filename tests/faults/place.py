"""A service to which faults are done: real processes, its own database and broker, small real jobs."""

import json
import os
import shutil
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import text
from tenacity import RetryError

from condensery import ApiError
from core.db.session import Database
from core.settings import Settings
from core.storage import storage_of
from examples.digits import write_zip
from tests.faults.checker import violations
from tests.faults.crew import Crew
from tests.faults.daemons import Postgres, Redis
from tests.faults.evidence import Evidence
from tests.faults.proxy import Proxy
from tests.faults.sets import Sets
from tests.support import warm
from tests.support.processes import descendants, runner_of, wait_for
from tests.support.servers import missing
from tests.support.service import Service, digests, finish, upload_dataset, wait_for_event
from tests.support.sweeping import sweep_everything

#: How long a service may take to put everything right: here a lease lasts four seconds, not sixty.
SETTLE_SECONDS = 300

#: Two seconds or so of condensation with a few checkpoints, then one small network.
JOB: dict[str, Any] = {
    "ipc": 2,
    "iterations": 100,
    "batch_real": 32,
    "network": {"width": 8, "depth": 2},
    "evaluation": {"networks": 1, "epochs": 3, "baselines": []},
    "seed": 11,
}
#: An evaluation of what that makes: a few seconds.
EVALUATION: dict[str, Any] = {
    "kind": "evaluate",
    "architectures": [{"width": 8, "depth": 2}],
    "networks": 3,
    "epochs": 80,
    "baselines": ["random"],
    "seed": 11,
}
HASTE = {
    "CONDENSERY_CHECKPOINT_SECONDS": "0.2",
    "CONDENSERY_POLL_SECONDS": "4",
    "CONDENSERY_REDISPATCH_SECONDS": "3",
    "CONDENSERY_STOP_POLL_SECONDS": "0.5",
    "CONDENSERY_STALL_SECONDS": "40",
    "CONDENSERY_DEVICE": "cpu",
}


class Place:
    """The service, what must come out of an undisturbed job, and the means to disturb it."""

    def __init__(
        self,
        kind: str,
        service: Service,
        folder: Path,
        postgres: Postgres | None,
        redis: Redis | None,
        proxy: Proxy | None,
    ) -> None:
        self.kind = kind
        self.service = service
        self.folder = folder
        self.digits = folder / "digits.zip"
        self.clock = folder / "clock"
        self.postgres = postgres
        self.redis = redis
        self.proxy = proxy
        self._url = postgres.address if postgres else None
        self.evidence = Evidence(service.data_dir, self._url)
        self.crew = Crew(self)
        self._armed = folder / "failpoints"
        write_zip(self.digits)
        self.client = service.client()
        self.dataset_id = str(upload_dataset(self.client, self.digits)["id"])
        self._known: dict[str, dict[str, str]] = {}
        self._had_done: set[str] = set()
        self.have_done()
        (made,) = self.client.get("/v1/condensed-sets")["data"]
        #: What `submit` takes for an evaluation of the condensed set that the first job has made.
        self.evaluation = {"kind": "evaluate", "condensed_set_id": str(made["id"])}

    def have_done(self, **changes: Any) -> None:
        """Once in the life of the service, a job with these changes that nothing disturbs: what others like
        it must come to."""
        body = json.dumps(changes, sort_keys=True)
        if body in self._had_done:
            return
        job = finish(self.client, self.submit(**changes))
        assert job["state"] == "succeeded", job["problem"]
        self._known[_like(job)] = self.digests(job["id"])
        self._had_done.add(body)

    @cached_property
    def sets(self) -> Sets:
        """To be looked at before anything is disturbed: the first ones of their kinds are made then."""
        return Sets(self.client, self.service.url, self.folder, self.evaluation["condensed_set_id"])

    # What users do.

    def submit(self, **changes: Any) -> str:
        usual = EVALUATION if changes.get("kind") == "evaluate" else JOB
        made = self.client.post("/v1/jobs", {"dataset_id": self.dataset_id, **usual, **changes})
        return str(made["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        return self.client.get(f"/v1/jobs/{job_id}")

    def digests(self, job_id: str) -> dict[str, str]:
        return digests(self.client, job_id)

    def events(self, job_id: str) -> list[str]:
        types: list[str] = []
        while True:
            page = self.client.get(f"/v1/jobs/{job_id}/events", limit=100, after=len(types))
            types += [event["type"] for event in page["data"]]
            if not page["has_more"]:
                return types

    def wait_for(self, job_id: str, *wanted: str) -> None:
        wait_for_event(self.client, job_id, *wanted)

    # What goes wrong.

    def arm(self, point: str, action: str) -> None:
        """The next process that reaches the failpoint fails there (core/failpoints.py)."""
        pending = self._armed.with_name("pending")
        pending.write_text(action)
        pending.rename(self._armed / point)

    def disarm(self, point: str) -> None:
        (self._armed / point).unlink(missing_ok=True)

    def has_sprung(self, point: str) -> bool:
        return not (self._armed / point).exists()

    def wait_until_sprung(self, point: str) -> None:
        wait_for(lambda: self.has_sprung(point), seconds=SETTLE_SECONDS)

    def runner(self, row_id: str) -> int:
        """The process that works on a row, once there is one."""
        pid = wait_for(lambda: runner_of(row_id))
        assert pid is not None
        return pid

    def processes(self) -> set[int]:
        """Every process of the worker."""
        return {self.service.worker_pid, *descendants(self.service.worker_pid)}

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        os.kill(pid, number)

    def freeze(self, *pids: int) -> None:
        """SIGSTOP, but not in the middle of a transaction, which would stop everybody else.

        Raises ProcessLookupError: one is gone.
        """

        def stopped() -> bool:
            for pid in pids:
                self.kill(pid, signal.SIGSTOP)
            if self.evidence.transactions_end():
                return True
            self.thaw(*pids)
            return False

        wait_for(stopped)

    def thaw(self, *pids: int) -> None:
        """SIGCONT, for those that still live."""
        for pid in pids:
            with suppress(ProcessLookupError):
                self.kill(pid, signal.SIGCONT)

    def set_clock(self, clock: Path, seconds: int) -> None:
        """Move the wall clock of whoever was started with this file; `self.clock` is the database's."""
        with clock.open("r+b" if clock.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))

    def execute(self, statement: str) -> None:
        """Change the database behind the service's back."""
        database = Database(self._url or f"sqlite+pysqlite:///{self.service.data_dir / 'condensery.db'}")
        with database.writing() as session:
            session.execute(text(statement))
        database.engine.dispose()

    def set_read_only(self, switch: str) -> None:
        """PostgreSQL: `on` or `off`."""
        assert self._url is not None
        with psycopg.connect(self._url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {switch}".encode())
            connection.execute("SELECT pg_reload_conf()")

    def log_size(self) -> int:
        return self.service.log.stat().st_size

    def wait_for_log(self, words: str, after: int) -> None:
        """Until the service has said this, `after` so many bytes of its log."""
        wait_for(lambda: words.encode() in self.service.log.read_bytes()[after:])

    # What must be true afterwards.

    def settle(self, *job_ids: str, state: str = "succeeded") -> None:
        """Wait until these jobs have ended, as if nothing had happened to them."""
        for job_id in job_ids:
            wait_for(partial(self.has_ended, job_id), seconds=SETTLE_SECONDS, every=0.2)
            job = self.job(job_id)
            assert job["state"] == state, (job["state"], job["problem"], self.events(job_id))
            if state == "succeeded":
                assert self.digests(job_id) == self._known[_like(job)], f"{job_id}: other bytes"

    def has_ended(self, job_id: str) -> bool:
        return self.job(job_id)["finished_at"] is not None

    def verdict(self) -> list[str]:
        """What is wrong, with everything at rest."""
        settings = Settings(data_dir=self.service.data_dir, database_url=self._url, _env_file=None)
        database, found = Database(settings.database), list[str]()

        def clean() -> bool:
            # What workers do with what is old; nothing is being written now.
            storage = storage_of(settings)
            storage.forget_abandoned(0)
            sweep_everything(database, storage)
            found[:] = violations(self.evidence)
            return not found

        try:
            wait_for(clean, seconds=20)
        except RetryError:
            return found
        finally:
            database.engine.dispose()
        return []


def refusal(ask: Callable[[], object]) -> int:
    """The status of the answer to a request that must be refused."""
    try:
        ask()
    except ApiError as error:
        return error.status
    raise AssertionError("it must be refused")


def _like(job: dict[str, Any]) -> str:
    """What the bytes of a job depend on: all are of one data set, and evaluations of the same images."""
    return json.dumps([job["kind"], job["spec"]], sort_keys=True)


@contextmanager
def place(kind: str, folder: Path) -> Iterator[Place]:
    """`embedded`: SQLite and files. `production`: PostgreSQL and Redis of its own."""
    with ExitStack() as stack:
        armed, clock = folder / "failpoints", folder / "clock"
        armed.mkdir(parents=True)
        clock.write_bytes(bytes(8))
        wrong_clock = {"LD_PRELOAD": str(_build_clock(folder)), "CLOCK_OFFSET": str(clock)}
        chosen = HASTE | {"CONDENSERY_FAILPOINTS": str(armed)}
        postgres = redis = proxy = None
        if kind == "production":
            for name in ("postgres", "redis"):
                (folder / name).mkdir()
            postgres, redis = Postgres(folder / "postgres", **wrong_clock), Redis(folder / "redis")
            for daemon in (postgres, redis):
                stack.callback(daemon.stop)
                daemon.start()
            proxy = Proxy(postgres.port)
            stack.callback(proxy.stop)
            chosen |= {
                "CONDENSERY_DATABASE_URL": postgres.address.replace(str(postgres.port), str(proxy.port)),
                "CONDENSERY_BROKER_URL": redis.address,
                "LD_PRELOAD": wrong_clock["LD_PRELOAD"],
            }
        else:
            chosen |= wrong_clock  # its clock is that of every process
        service = Service(folder / "data", **chosen)
        stack.callback(service.stop)
        service.start()
        made = Place(kind, service, folder, postgres, redis, proxy)
        stack.callback(made.crew.muster, 0)
        stack.callback(made.crew.thaw)
        yield made


def _build_clock(folder: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        missing("C compiler", "PATH")
    library = folder / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(
        [str(compiler), "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True
    )
    return library


def other_worker(service: Service) -> warm.Process:
    """A second worker beside the service's own, as on another machine."""
    return service.spawn("worker")


def end(process: warm.Process) -> None:
    process.terminate()
    process.wait(120)
