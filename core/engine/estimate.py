"""What a condensation will take, by doing its first iteration beforehand."""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from core.engine.condense import Step, condense
from core.engine.config import CondenseConfig
from core.engine.flops import flops_per_class
from core.engine.images import LabelledImages, resident
from core.engine.networks import forward_cost
from core.engine.pool import Pool
from core.engine.state import CondenseState

WARM_UP_SECONDS = 60.0
"""An iteration quicker than this is done twice, and the second one counts."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Measured on the device that will do the work.

    seconds_per_iteration, seconds: of one, and of all that the configuration asks for.
    warm: whether it was measured on a second iteration. The first one also pays for what is done once
        (choosing kernels, fetching memory), so a cold figure is an upper estimate.
    peak_memory_bytes: on CUDA the most that torch held, on a CPU the most that the process ever had resident;
        None where neither is known.
    micro_batch: images embedded at once; `halved` if memory ran out with more.
    flops_per_iteration: of convolutions and linear layers, a multiplication and an addition counted as two.
    """

    seconds_per_iteration: float
    seconds: float
    warm: bool
    peak_memory_bytes: int | None
    micro_batch: int
    halved: bool
    flops_per_iteration: int


def estimate(
    real: LabelledImages,
    config: CondenseConfig,
    state: CondenseState,
    device: torch.device,
    pool: Pool | None = None,
) -> Estimate:
    """Do the next iteration after `state` and forget it: a later run does the very same one again.

    Raises:
        ValueError, NumericalError, OutOfMemory: as `condense`.
    """
    # Once, outside what is timed.
    real = resident(real, device)
    step, seconds = _timed(real, config, state, device, pool)
    halved = step.state.micro_batch != state.micro_batch
    # The failed tries of larger batches count neither as time nor as memory.
    warm = halved or seconds < WARM_UP_SECONDS
    if warm:
        fitting = replace(state, micro_batch=step.state.micro_batch)
        step, seconds = _timed(real, config, fitting, device, pool)
    return Estimate(
        seconds_per_iteration=seconds,
        seconds=seconds * config.iterations,
        warm=warm,
        peak_memory_bytes=_peak_memory(device),
        micro_batch=step.micro_batch,
        halved=step.state.micro_batch != state.micro_batch,
        flops_per_iteration=flops_per_iteration(real, config),
    )


def flops_per_iteration(real: LabelledImages, config: CondenseConfig) -> int:
    """As core/engine/flops.py counts them."""
    forward = forward_cost(config.matched_in, real.size, real.channels, real.num_classes)
    return len(real.classes) * flops_per_class(config, forward)


def _timed(
    real: LabelledImages,
    config: CondenseConfig,
    state: CondenseState,
    device: torch.device,
    pool: Pool | None,
) -> tuple[Step, float]:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    step = next(condense(real, config, device=device, state=state, pool=pool))
    next(iter(step.state.tensors.values())).flatten()[0].item()  # waits for the device
    return step, time.perf_counter() - began


def _peak_memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type != "cpu" or not sys.platform.startswith("linux"):
        return None
    # Not getrusage: its maximum includes that of the process which started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
