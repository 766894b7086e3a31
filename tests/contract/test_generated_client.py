"""The waiting client is what scripts/unasync.py makes of the one for asyncio."""

import subprocess
import sys

from tests.support.service import ROOT


def test_the_waiting_client_is_generated() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/unasync.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
