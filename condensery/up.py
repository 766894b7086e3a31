"""Run the whole service on this machine: migrations, then the API and a worker as processes."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 40
#: Asked of the server, which alone knows where its settings come from; what is wrong with one is a line.
_SETTINGS = """
import sys
from pydantic import ValidationError
from core.settings import Settings
try:
    settings = Settings()
except ValidationError as error:
    for one in error.errors():
        name = "CONDENSERY_" + "_".join(map(str, one["loc"])).upper()
        print(f"condensery: {name}: {one['msg']}", file=sys.stderr)
    sys.exit(1)
print(settings.host, settings.port)
"""


def offered() -> bool:
    """Whether the server is here: it lies beside this package in a clone of the repository, and is not
    published."""
    folder = Path(__file__).parents[1]
    return all((folder / part / "__main__.py").is_file() for part in ("api", "worker"))


def serve(host: str | None, port: int | None) -> int:
    """Serve until SIGINT or SIGTERM, or until a part dies. What is None is the server's setting, from the
    environment or `.env`. Returns the exit status."""
    environment = {"CONDENSERY_LOG_FORMAT": "console", **os.environ}
    given = {"CONDENSERY_HOST": host, "CONDENSERY_PORT": port}
    environment |= {name: str(value) for name, value in given.items() if value is not None}
    asked = subprocess.run(
        [sys.executable, "-c", _SETTINGS], env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if asked.returncode:
        return asked.returncode
    host, _, port_text = asked.stdout.strip().rpartition(" ")
    port = int(port_text)
    if (problem := _why_not_to_be_had(host, port)) is not None:
        print(
            f"condensery: {host}:{port}: {problem}. Choose another: CONDENSERY_PORT or --port",
            file=sys.stderr,
        )
        return 1
    stopping = False

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        # No event: if the signal came while that was being read, its lock would be waited for for ever.
        nonlocal stopping
        stopping = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask_to_stop)
    migrated = subprocess.run([sys.executable, "-m", "core.db.migrate"], env=environment, check=False)
    if migrated.returncode:
        return migrated.returncode
    parts = {name: _start(name, environment) for name in ("api", "worker")}
    status = _watch(parts, f"http://{f'[{host}]' if ':' in host else host}:{port}", lambda: stopping)
    for process in parts.values():
        if process.poll() is None:
            process.terminate()
    for name, process in parts.items():
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"condensery: {name} did not stop within {_STOP_SECONDS} s; killed", file=sys.stderr)
            process.kill()
            process.wait()
            status = status or 1
    print("condensery: stopped", flush=True)
    return status


def _why_not_to_be_had(host: str, port: int) -> str | None:
    """Checked beforehand: the answer of somebody else at this port would be taken for the API's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)
    return None


def _start(module: str, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    # A session of its own: Ctrl-C comes here first, and the parts are stopped in order.
    return subprocess.Popen(
        [sys.executable, "-m", module], env=environment, start_new_session=True, preexec_fn=_die_with_parent
    )


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _watch(parts: dict[str, "subprocess.Popen[bytes]"], address: str, stopping: Callable[[], bool]) -> int:
    announced = False
    while not stopping():
        for name, process in parts.items():
            if process.poll() is not None:
                print(f"condensery: {name} ended with status {process.returncode}", file=sys.stderr)
                return process.returncode or 1
        if not announced and _answers(address):
            announced = True
            print(f"condensery: ready at {address} (Ctrl-C stops it)", flush=True)
        time.sleep(0.2)
    print("condensery: stopping", flush=True)
    return 0


def _answers(address: str) -> bool:
    try:
        with build_opener(ProxyHandler({})).open(f"{address}/readyz", timeout=1):
            return True
    except (URLError, OSError):
        return False
