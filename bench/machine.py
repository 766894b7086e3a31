"""What a measurement says about the machine that it was taken on."""

import os
import platform
from pathlib import Path

import numpy as np
import torch

from core.version import __version__


def cpu_name() -> str:
    """The processor's name, as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine() -> str:
    """Processor, cores and versions, in a line."""
    return (
        f"{cpu_name()}, {os.cpu_count()} cores; condensery {__version__}, torch {torch.__version__}, "
        f"numpy {np.__version__}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {' '.join(platform.libc_ver())}"
    )
