"""`python -m worker.webhooks PARENT`: send what is in the outbox (core/webhooks/deliveries.py).

Started by the worker. It looks into the database every second: a message could be lost, a row cannot. Each
delivery is a task of its own, so targets that do not answer take up some of the places, never the loop.
"""

import asyncio
import signal
import ssl
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import httpcore2
import structlog
from sqlalchemy.exc import SQLAlchemyError

from core import logs
from core.db.session import Database, get_database
from core.processes import die_with_parent
from core.settings import Settings, get_settings
from core.targets import AllowedHosts
from core.webhooks.deliveries import (
    AT_ONCE,
    Candidate,
    Claimed,
    Outcome,
    choose,
    claim,
    due,
    forget_old,
    settle,
)
from worker.posting import Resolve, post, system_resolve

log = structlog.get_logger(__name__)

_POLL_SECONDS = 1.0
_TIDY_SECONDS = 3600.0
#: Attempts under way when the worker stops get this long; the others are made again by whoever comes next.
_STOP_SECONDS = 5.0
_DATABASE_THREADS: Final = 4

Result = TypeVar("Result")


def main(parent: int) -> None:
    die_with_parent(parent)
    settings = get_settings()
    logs.configure(settings, process="webhooks")

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await serve(get_database(), settings, stop)

    asyncio.run(run())


async def serve(
    database: Database,
    settings: Settings,
    stop: asyncio.Event,
    *,
    resolve: Resolve = system_resolve,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Send whatever becomes due, until asked to stop."""
    allowed = AllowedHosts.of(settings.webhook_allowed_hosts)
    tls = tls or httpcore2.default_ssl_context()
    # Names are resolved in threads, too: slow name servers must not keep others from the database.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(AT_ONCE))
    flying: dict[asyncio.Task[None], Claimed] = {}
    stopping = asyncio.create_task(stop.wait())
    next_tidying = 0.0
    with ThreadPoolExecutor(_DATABASE_THREADS) as threads:
        while not stop.is_set():
            if time.monotonic() >= next_tidying:
                await _in(threads, lambda: _tidy(database, settings))
                next_tidying = time.monotonic() + _TIDY_SECONDS
            in_flight = list(flying.values())
            for claimed in await _in(threads, lambda: _take(database, in_flight)):  # noqa: B023
                task = asyncio.create_task(_deliver(claimed, database, threads, allowed, tls, resolve))
                flying[task] = claimed
            ended, _ = await asyncio.wait(
                {stopping, *flying}, timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            flying = {task: claimed for task, claimed in flying.items() if task not in ended}
        if flying:
            _, late = await asyncio.wait(flying, timeout=_STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


async def _in(threads: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(threads, work)


def _take(database: Database, in_flight: Iterable[Candidate]) -> list[Claimed]:
    try:
        with database.reading() as session:
            chosen = choose(due(session), in_flight)
        if not chosen:
            return []  # a transaction that writes would hold up others on SQLite
        with database.writing() as session:
            return claim(session, chosen)
    except SQLAlchemyError as error:
        log.warning("nothing sent: the database does not answer", error=str(error))
        return []


async def _deliver(
    claimed: Claimed,
    database: Database,
    threads: ThreadPoolExecutor,
    allowed: AllowedHosts,
    tls: ssl.SSLContext,
    resolve: Resolve,
) -> None:
    facts = {"delivery": claimed.delivery_id, "webhook": claimed.webhook_id, "attempt": claimed.attempt}
    try:
        outcome = await post(claimed, allowed, tls, resolve)
    except Exception:
        log.exception("an attempt failed in a way that nobody foresaw", **facts)
        outcome = Outcome(error="the sender failed; the server's log has the reason")

    def write() -> bool:
        with database.writing() as session:
            return settle(session, claimed, outcome)

    try:
        written = await _in(threads, write)
    except SQLAlchemyError as error:
        # The claim lapses, and the same delivery is sent again.
        log.warning("outcome not written: the database does not answer", error=str(error), **facts)
        return
    log.info("sent", status=outcome.status, error=outcome.error, written=written, **facts)


def _tidy(database: Database, settings: Settings) -> None:
    try:
        with database.writing() as session:
            forget_old(session, settings.webhook_log_days * 86_400)
    except SQLAlchemyError as error:
        log.warning("log of deliveries not tidied: the database does not answer", error=str(error))


if __name__ == "__main__":
    main(int(sys.argv[1]))
