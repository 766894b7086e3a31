"""Downloads of an artifact, whole and in part, beside nginx serving the same file."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx2

from bench.api.stage import Stage
from bench.api.wrk import present
from core.storage.local import LocalStorage
from tests.support.api import add_artifact
from tests.support.servers import free_port

PAIRS = 9
#: Downloads of a turn, one after the other: one takes a tenth of a second.
REPEATS = 8
MIB = 1 << 20
SIZE = 256 * MIB
PART = (64 * MIB, 192 * MIB - 1)

_CONFIG = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; worker_processes 1; {user}
events {{}}
http {{
  access_log off; sendfile on; tcp_nopush on; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Downloads:
    """Pairs of bytes a second, ours and nginx's."""

    whole: list[tuple[float, float]]
    part: list[tuple[float, float]]


def ratio(pairs: list[tuple[float, float]]) -> float:
    """Ours by nginx's: median of the pairs'."""
    return median(ours / nginx for ours, nginx in pairs)


def measure(stage: Stage, folder: Path) -> Downloads | None:
    """Whole files and one range each, in turn, by curl. None if nginx is not installed."""
    binary = present("nginx")
    if binary is None:
        return None
    content = bytes(range(256)) * (SIZE // 256)
    storage = LocalStorage(stage.service.data_dir)
    artifact = add_artifact(stage.database, storage, stage.job_id, content)
    ours = f"{stage.service.url}/v1/artifacts/{artifact.id}/content"
    path = storage.path(artifact.blob_key)
    with _nginx(binary, folder, path.parent) as address:
        theirs = f"{address}/{path.name}"

        def pairs(*extra: str) -> list[tuple[float, float]]:
            key = ("-H", f"Authorization: Bearer {stage.token}")
            turns = [(_speed(ours, *key, *extra), _speed(theirs, *extra)) for _ in range(PAIRS + 1)]
            return turns[1:]  # the first reads the file from the disk

        return Downloads(whole=pairs(), part=pairs("-r", f"{PART[0]}-{PART[1]}"))


def _speed(url: str, *extra: str) -> float:
    each = ["-o", "/dev/null", url]
    command = ["curl", "-sSf", "-w", "%{size_download} %{time_total}\n", *extra, *each * REPEATS]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    lines = [line.split() for line in done.stdout.splitlines()]
    return sum(int(size) for size, _ in lines) / sum(float(seconds) for _, seconds in lines)


@contextmanager
def _nginx(binary: str, folder: Path, root: Path) -> Iterator[str]:
    port = free_port()
    config = folder / "nginx.conf"
    # Started by root it would serve as somebody who may not read the file.
    user = "user root;" if Path.home() == Path("/root") else ""
    config.write_text(_CONFIG.format(folder=folder, port=port, root=root, user=user), encoding="utf-8")
    process = subprocess.Popen([binary, "-c", str(config), "-e", str(folder / "nginx.log")])  # noqa: S603
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(address)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _wait(address: str) -> None:
    for _ in range(100):
        try:
            httpx2.get(address)
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("bench: nginx does not answer")
