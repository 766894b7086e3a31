"""PostgreSQL and Redis processes that a test kills, freezes and starts again, with the data they had."""

import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

import psycopg
from tenacity import RetryError

from tests.support.processes import wait_for
from tests.support.servers import (
    POSTGRES_VARIABLE,
    REDIS_VARIABLE,
    binary,
    free_port,
    missing,
    ping,
    unprivileged,
)


class Daemon(ABC):
    """A server on a port of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "log"
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def address(self) -> str: ...

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _wait_until_ready(self) -> None: ...

    def start(self) -> None:
        self._launch()
        self._wait_until_ready()

    def _launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), user=self._user, cwd=self.folder, env=self._environment,
                stdout=log, stderr=log,
            )  # fmt: skip

    def send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: int = signal.SIGKILL) -> None:
        """End by a signal, and wait."""
        self.send(number)
        assert self._process is not None
        self._process.wait(120)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.send(signal.SIGCONT)
            self.end(signal.SIGINT)

    _user: str | None = None


class Postgres(Daemon):
    def __init__(self, folder: Path, **environment: str) -> None:
        super().__init__(folder, **environment)
        initdb = binary("initdb")
        if initdb is None:
            missing("PostgreSQL", POSTGRES_VARIABLE)
        assert initdb is not None
        self._user = unprivileged()
        if self._user:
            shutil.chown(folder, self._user)
        subprocess.run(
            [initdb, "--auth=trust", "--username=condensery", f"--pgdata={folder / 'data'}"],
            check=True, capture_output=True, user=self._user, cwd=folder,
        )  # fmt: skip

    @property
    def address(self) -> str:
        return f"postgresql+psycopg://condensery@127.0.0.1:{self.port}/postgres"

    def _command(self) -> list[str]:
        server = binary("postgres")
        assert server is not None
        data, sockets = str(self.folder / "data"), str(self.folder)
        # What a process that is killed has written the system keeps. Without fsync a server that comes back
        # need not sync each of its files first, which takes a minute where others use the disk.
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        return [server, "-D", data, "-p", str(self.port), "-k", sockets, *options]

    def _wait_until_ready(self) -> None:
        # One that was killed leaves children, and none starts on its data until they have noticed.
        try:
            wait_for(self._answers, seconds=120)
        except RetryError as error:
            raise RuntimeError(f"PostgreSQL does not start: {self.log.read_text()[-2000:]}") from error

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            self._launch()
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.address.replace("+psycopg", "")).close()
            return True
        return False


class Redis(Daemon):
    """It keeps nothing over a restart: the worst broker there may be."""

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self) -> list[str]:
        server = shutil.which("redis-server") or shutil.which("valkey-server")
        if server is None:
            missing("Redis", REDIS_VARIABLE)
        assert server is not None
        return [server, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]

    def _wait_until_ready(self) -> None:
        ping(self.address)
