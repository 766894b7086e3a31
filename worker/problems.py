"""What the engine raises, in words that the owner of a job can act on."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.engine.errors import NumericalError, OutOfMemory, TrainingDiverged
from core.engine.memory import is_out_of_memory
from core.errors import JobError
from worker.inputs import Inputs


@contextmanager
def named_for_users(given: Inputs) -> Iterator[None]:
    """Raises JobError for what another attempt would meet again."""
    try:
        yield
    except TrainingDiverged as error:
        advice = "the protocol fixes the learning rate of an evaluation; another network or norm may help"
        raise JobError(f"{error}: {advice}", code="numerical") from error
    except NumericalError as error:
        raise JobError(f"{error}: a smaller lr may help", code="numerical") from error
    except (RuntimeError, MemoryError) as error:
        # What nothing could split, too, such as the network itself: the next attempt would fare no better.
        if not is_out_of_memory(error):
            raise
        what = str(error) if isinstance(error, OutOfMemory) else f"out of memory on {given.device} ({error})"
        advice = "a smaller image size, a narrower network or a device with more memory may help"
        if isinstance(error, OutOfMemory) and not error.splits:
            advice = f"a smaller batch_real (to condense), another norm, {advice}"
        raise JobError(f"{what}: {advice}", code="out_of_memory") from error
