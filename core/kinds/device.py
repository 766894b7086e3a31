"""Which device computes, how it is made deterministic, and what a result says about it."""

import os
import platform
import resource
import sys
from typing import Any

import torch

from core.engine.cpu.library import convnet_blocks
from core.engine.precision import multiplies_in
from core.errors import JobError
from core.version import __version__


def choose_device(wanted: str) -> torch.device:
    """`auto`: CUDA, else Apple's MPS, else the CPU.

    Raises:
        JobError: a device that was asked for by name is not there.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    if not available[wanted]:
        raise JobError(f"CONDENSERY_DEVICE is {wanted}, which this worker does not have", code="no_device")
    return torch.device(wanted)


def make_deterministic() -> None:
    """Same seed, same machine: same bytes. Before the first use of the device."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Not use_deterministic_algorithms: it says the same to torch's compiler, too, which is not used here and
    # takes longer to load than torch itself.
    torch.set_deterministic_debug_mode("error")
    # Filling fresh memory guards against reads before a write, of which the engine has none, and costs a
    # condensation on a CPU 6 % of its time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    # On by default: float32 convolutions, the evaluation's, would multiply with 10 bits of mantissa.
    torch.backends.cudnn.allow_tf32 = False
    # The order of partial sums depends on the number of threads.
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)


def memory_bytes(device: torch.device) -> int:
    """The most that this process has had of the device's memory; on a CPU, of the machine's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def environment(device: torch.device) -> dict[str, Any]:
    """What bit-equality of a result depends on."""
    # On a CPU the sums depend on its vector instructions.
    cpu = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu
    return {
        "version": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "device": device.type,
        "device_name": name,
        "convnet_blocks": convnet_blocks(device),
        "precision": str(multiplies_in(device)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }
