"""Ephemeral PostgreSQL and Redis from installed binaries, or the ones that the environment names; and S3."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psycopg
import pytest
import redis
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

POSTGRES_VARIABLE = "CONDENSERY_TEST_POSTGRES_URL"
REDIS_VARIABLE = "CONDENSERY_TEST_REDIS_URL"


def missing(what: str, variable: str) -> str:
    """Skip, saying why; in CI a missing server is a failure."""
    reason = f"no {what} installed and {variable} not set"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def binary(name: str) -> str | None:
    return shutil.which(name) or next(
        (str(p) for p in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None
    )


def unprivileged() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[str]:
    """The address of a server whose databases may be made and dropped; if `durable`, with fsync."""
    if address := os.environ.get(POSTGRES_VARIABLE):
        yield address
        return
    initdb, server = binary("initdb"), binary("postgres")
    if initdb is None or server is None:
        missing("PostgreSQL", POSTGRES_VARIABLE)
        return
    user = unprivileged()
    with tempfile.TemporaryDirectory(prefix="condensery-pg-") as folder:
        data = Path(folder) / "data"
        if user:
            shutil.chown(folder, user)
        subprocess.run(
            [initdb, "--no-sync", "--auth=trust", "--username=condensery", f"--pgdata={data}"],
            check=True, capture_output=True, user=user, cwd=folder, start_new_session=True,
        )  # fmt: skip
        port = free_port()
        fsync = "on" if durable else "off"
        options = ["-c", f"fsync={fsync}", "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]
        process = subprocess.Popen(
            [server, "-D", str(data), "-p", str(port), "-k", folder, *options],
            user=user, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            address = f"postgresql+psycopg://condensery@127.0.0.1:{port}/postgres"
            connect(address)
            yield address
        finally:
            process.send_signal(signal.SIGINT)  # "fast": open connections are cut
            process.wait(120)


@retry(
    stop=stop_after_delay(120),
    wait=wait_fixed(0.1),
    retry=retry_if_exception_type(psycopg.Error),
    reraise=True,
)
def connect(address: str) -> None:
    psycopg.connect(address.replace("+psycopg", "")).close()


@contextmanager
def redis_server() -> Iterator[str]:
    """The address of a Redis whose database may be flushed."""
    if address := os.environ.get(REDIS_VARIABLE):
        yield address
        return
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        missing("Redis", REDIS_VARIABLE)
        return
    with tempfile.TemporaryDirectory(prefix="condensery-redis-") as folder:
        port = free_port()
        process = subprocess.Popen(
            [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            address = f"redis://127.0.0.1:{port}/0"
            ping(address)
            yield address
        finally:
            process.terminate()
            process.wait(120)


@retry(
    stop=stop_after_delay(120),
    wait=wait_fixed(0.1),
    retry=retry_if_exception_type(redis.RedisError),
    reraise=True,
)
def ping(address: str) -> None:
    with redis.Redis.from_url(address) as client:
        client.ping()


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of moto's S3, which keeps everything in its memory."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        _answer(address)
        yield address
    finally:
        process.terminate()
        process.wait(120)


@retry(
    stop=stop_after_delay(120),
    wait=wait_fixed(0.1),
    retry=retry_if_exception_type(httpx2.TransportError),
    reraise=True,
)
def _answer(address: str) -> None:
    httpx2.get(f"{address}/moto-api/")
