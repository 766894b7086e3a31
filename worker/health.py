"""`python -m worker.health`: exit status 0 if the worker on this machine is alive (for containers)."""

import sys
import tempfile
import time
from pathlib import Path

from core.settings import Settings, get_settings

_STALE_SECONDS = 60


def _file(settings: Settings) -> Path:
    """Outside the data directory: that may be shared with the workers of other machines."""
    return Path(tempfile.gettempdir()) / f"condensery-worker-{settings.port}.beat"


def beat(settings: Settings) -> None:
    """Raises OSError if the disk refuses."""
    _file(settings).touch()


def forget(settings: Settings) -> None:
    """It has stopped, and knows it. Raises OSError if the disk refuses."""
    _file(settings).unlink(missing_ok=True)


def alive(settings: Settings) -> bool:
    try:
        return time.time() - _file(settings).stat().st_mtime < _STALE_SECONDS
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(0 if alive(get_settings()) else 1)
