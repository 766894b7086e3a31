"""Load by wrk, a process of its own that costs the machine little."""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """
{requests}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{{"requests":%d,"seconds":%.6f,"p50":%.6f,"p99":%.6f,"errors":%d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one run of wrk saw. Times in seconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def load(
    url: str, *, connections: int, seconds: float, token: str | None = None, body: str | None = None
) -> Load:
    """Ask for `url` over so many connections, each as soon as it has its answer; with a body, POST it.

    Raises:
        RuntimeError: wrk is not installed, or an answer was an error.
    """
    post = f"wrk.method = 'POST'\nwrk.body = [[{body}]]\nwrk.headers['Content-Type'] = 'application/json'"
    headers = ["-H", f"Authorization: Bearer {token}"] if token else []
    script = post if body is not None else ""
    found = load_script(url, script, *headers, connections=connections, seconds=seconds)
    if found.errors:
        raise RuntimeError(f"bench: {found.errors} of {found.requests} requests for {url} failed")
    return found


def load_script(url: str, script: str, *options: str, connections: int, seconds: float) -> Load:
    """As `load`, with requests as a script in wrk's Lua makes them; errors are counted.

    Raises:
        RuntimeError: wrk is not installed.
    """
    binary = shutil.which("wrk")
    if binary is None:
        raise RuntimeError("bench: wrk is not installed (Debian package wrk)")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(_SCRIPT.format(requests=script))
        file.flush()
        # Not wrk's two seconds: a slow answer counts, too.
        timing = ["-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s"]
        command = [binary, *timing, *options, "-s", file.name, url]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return Load(**json.loads(done.stdout.splitlines()[-1]))


def present(name: str) -> str | None:
    """Where a program is installed; Debian keeps some where only root looks."""
    return shutil.which(name) or next((str(p) for p in (Path("/usr/sbin") / name,) if p.exists()), None)
