"""How many images are embedded at once, and what happens when memory runs out."""

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from core.engine.errors import OutOfMemory

CPU_MICRO_BATCH = 64
"""The C library returns large blocks to the system, and each use faults them in anew."""

DEVICE_MICRO_BATCH = 4096
"""Ten classes of the paper's 256 images are one pass. ConvNet-3-128's largest maps at 32 px: 2 GiB each."""

Result = TypeVar("Result")


def default_micro_batch(device: torch.device | str) -> int:
    return CPU_MICRO_BATCH if torch.device(device).type == "cpu" else DEVICE_MICRO_BATCH


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out. torch has a class of its own for this on CUDA alone."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    texts = ("DefaultCPUAllocator: can't allocate memory", "MPS backend out of memory")
    return isinstance(error, RuntimeError) and any(text in str(error) for text in texts)


def with_smaller_batches(
    work: Callable[[int], Result], micro_batch: int, *, least: int, device: torch.device | str, what: str
) -> tuple[Result, int]:
    """`work(micro_batch)`, done anew with half of it whenever memory runs out, and the last micro-batch.

    Args:
        work: must start from the same state each time.
        least: the smallest micro-batch that makes a difference.
        what: names the work in the error.

    Raises:
        OutOfMemory: not even `least` fits.
    """
    while True:
        try:
            return work(micro_batch), micro_batch
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if micro_batch <= least:
                detail = f"out of memory on {device} in {what} with a micro-batch of {micro_batch}"
                splits = least == 1
                raise OutOfMemory(
                    detail + ("" if splits else ", which this network does not let be split"), splits=splits
                ) from error
        # Not before here: the error's traceback holds the tensors of the pass that failed.
        gc.collect()
        if torch.device(device).type != "cpu":
            torch.accelerator.empty_cache()
        micro_batch = max(least, micro_batch // 2)
