"""`python -m worker.health`: what a container asks of its worker."""

import subprocess
import sys
from pathlib import Path

from tests.support.service import ROOT, Service


def healthy(service: Service) -> bool:
    command = [sys.executable, "-m", "worker.health"]
    return subprocess.run(command, env=service.environment, cwd=ROOT).returncode == 0


def test_a_worker_is_healthy_until_it_has_stopped(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.migrate()
    assert not healthy(service)
    service.start_worker()
    try:
        service.wait_until(lambda: healthy(service))
        assert service.stop_worker() == 0
        assert not healthy(service)
    finally:
        service.stop()
