"""Warm starts of the service in tests are as `python -m` to whoever looks."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support import warm
from tests.support.processes import commands, wait_for
from tests.support.service import ROOT, Service


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path / "data")
    service.migrate()
    service.start_api()
    yield service
    service.stop()


def test_it_is_found_by_its_command_line_and_ends_as_it_says(api: Service) -> None:
    assert [*filter(None, commands()[api.api_pid])] == [api.python, "-m", "api"]
    assert os.getsid(api.api_pid) == api.api_pid
    assert api.stop_api() == -signal.SIGTERM  # which uvicorn raises again when it has ended
    assert api.api_pid not in commands()
    assert "Warning" not in api.log.read_text()


def test_a_kill_is_seen(api: Service) -> None:
    with api.log.open("ab") as log:
        worker = warm.start("worker", api.environment, log)
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(0)
    assert worker.poll() is None
    wait_for(lambda: b"worker started" in api.log.read_bytes())
    worker.kill()
    assert (worker.wait(), worker.returncode, worker.poll()) == (-signal.SIGKILL,) * 3
    worker.terminate()  # of whoever has its number now, nobody hears
    api.kill_api()
    with pytest.raises(httpx2.TransportError):
        httpx2.get(api.url)


def test_it_does_not_outlive_whoever_asked(tmp_path: Path) -> None:
    code = f"""
import os, pathlib
from tests.support import warm
from tests.support.service import ROOT, Service
warm.use()
service = Service(pathlib.Path({str(tmp_path / "data")!r}))
service.migrate()
service.start_api()
print(service.api_pid, flush=True)
os._exit(1)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: int(done.stdout) not in commands())


def test_what_takes_effect_before_main_is_started_anew(api: Service) -> None:
    api.stop_api()
    with api.log.open("ab") as log:
        started = warm.start("api", api.environment | {"PYTHONOPTIMIZE": "1"}, log)
    assert isinstance(started, subprocess.Popen)
    started.kill()
    started.wait()
