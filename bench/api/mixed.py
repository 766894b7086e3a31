"""Everything at once, for minutes: reads, lists, submissions, uploads, downloads and open streams."""

import threading
import time
from dataclasses import dataclass

from bench.api.stage import OWNER, Stage
from bench.api.streams import Writer, close_streams, open_streams
from bench.api.wrk import Load, load_script
from bench.upload import resident
from core.storage.local import LocalStorage
from tests.support.api import add_artifact
from tests.support.leased import add_job

CONNECTIONS = 8
STREAMS = 200
MIB = 1 << 20
SIZE = 10 * MIB

#: Half reads of a job, a fifth lists, a tenth each submissions, uploads and downloads.
_SCRIPT = """
local token = 'Bearer {token}'
local blob = string.rep('x', {size})
local json = {{['Authorization'] = token, ['Content-Type'] = 'application/json'}}
local plain = {{['Authorization'] = token}}
request = function()
  local n = math.random(10)
  if n <= 5 then return wrk.format('GET', '/v1/jobs/{job}', plain) end
  if n <= 7 then return wrk.format('GET', '/v1/jobs?limit=50', plain) end
  if n == 8 then return wrk.format('POST', '/v1/jobs', json, '{body}') end
  if n == 9 then return wrk.format('PUT', '/v1/uploads', plain, blob) end
  return wrk.format('GET', '/v1/artifacts/{artifact}/content', plain)
end
"""


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """What wrk saw, whether each stream stayed open and whole, and how the API's memory grew.

    growth: bytes a minute, between the means of the second and of the last quarter of the time.
    """

    load: Load
    lost: int
    broken: int
    growth: float


def measure(stage: Stage, minutes: float) -> Mixed:
    """For so many minutes."""
    storage = LocalStorage(stage.service.data_dir)
    artifact = add_artifact(stage.database, storage, stage.job_id, bytes(SIZE), file_name="set.pt")
    with stage.database.writing() as session:
        jobs = [add_job(session, owner=OWNER, dataset_id=stage.dataset_id).id for _ in range(STREAMS)]
    body = f'{{"dataset_id": "{stage.dataset_id}", "ipc": 1}}'
    script = _SCRIPT.format(token=stage.token, size=SIZE, job=stage.job_id, body=body, artifact=artifact.id)
    client, writer, memory = open_streams(stage, jobs), Writer(stage, jobs), _Memory(stage.service.api_pid)
    writer.start()
    memory.start()
    try:
        seen = load_script(stage.service.url, script, connections=CONNECTIONS, seconds=minutes * 60)
    finally:
        memory.stop()
        writer.stop()
    streams = close_streams(client, stage)
    return Mixed(load=seen, lost=streams["lost"], broken=streams["broken"], growth=memory.growth)


class _Memory(threading.Thread):
    """Looks at a process every second."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._pid = pid
        self._seen: list[tuple[float, int]] = []
        self._stop_asked = threading.Event()

    def run(self) -> None:
        while not self._stop_asked.wait(1):
            self._seen.append((time.monotonic(), resident(self._pid, "VmRSS")))

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()

    @property
    def growth(self) -> float:
        quarter = max(1, len(self._seen) // 4)
        (early_at, early), (late_at, late) = (
            (sum(at for at, _ in part) / len(part), sum(size for _, size in part) / len(part))
            for part in (self._seen[quarter : 2 * quarter], self._seen[-quarter:])
        )
        return (late - early) / (late_at - early_at) * 60
