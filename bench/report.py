"""What the benchmark says: the table, and its section of docs/performance.md."""

from dataclasses import dataclass
from statistics import median

from bench.machine import machine
from bench.side import CLASSES, EPOCHS, PER_CLASS, POOL_STEPS, SHORT, config_of
from core.engine.config import CondenseConfig, NetworkConfig
from core.engine.networks import forward_cost
from core.engine.pool import pool_training
from core.engine.recipes import RECIPES
from worker.runner_environment import RUNNER_ENVIRONMENT


@dataclass(frozen=True)
class Timing:
    """A unit of work with its pairs of seconds: ours, the official loop's."""

    unit: str
    pairs: list[tuple[float, float]]

    @property
    def ratios(self) -> list[float]:
        """How many times as fast ours is, pair by pair."""
        return [official / ours for ours, official in self.pairs]


def table(timings: list[Timing]) -> str:
    """Markdown, one row a unit: medians and ranges."""
    rows = [
        "| work | pairs | ours | official loop | ours is faster by: median (range) |",
        "|---|---|---|---|---|",
    ]
    for timing in timings:
        kind, ipc = timing.unit.split()
        if kind == "pool":
            continue  # not the same work: see `whole_set`
        ours, official = (median(side) for side in zip(*timing.pairs, strict=True))
        if kind == "evaluate":
            work = f"evaluation, {CLASSES * int(ipc)} images"
            speeds = [f"{EPOCHS / seconds:.2f} epochs/s" for seconds in (ours, official)]
        else:
            recipe = f", `{kind}` against the paper's" if kind in RECIPES else ""
            work = f"condensation, IPC {ipc}{recipe}"
            speeds = [f"{seconds:.2f} s/iteration" for seconds in (ours, official)]
        low, high = min(timing.ratios), max(timing.ratios)
        gain = f"{median(timing.ratios):.2f}× ({low:.2f} – {high:.2f})"
        rows.append(f"| {work} | {len(timing.pairs)} | {speeds[0]} | {speeds[1]} | {gain} |")
    return "\n".join(rows)


def whole_set(timings: list[Timing]) -> str:
    """How long a whole set takes, the pool included, beside the official loop's 20,000 iterations.

    From the seconds of an iteration and of the pool's training steps, each measured in turns with an
    iteration of the official loop.
    """
    by_unit = {timing.unit: timing for timing in timings}
    config = config_of(SHORT, 10)
    training = pool_training(config)
    steps = training.networks * training.epochs * training.protocol.steps_an_epoch(CLASSES * PER_CLASS)
    one, pool = by_unit[f"{SHORT} 10"].pairs, by_unit["pool 10"].pairs
    condensing = config.iterations * median(ours for ours, _ in one)
    training_it = steps * median(ours for ours, _ in pool) / POOL_STEPS
    official = CondenseConfig.iterations * median(theirs for _, theirs in (*one, *pool))
    return (
        f"**A whole set** at 10 images per class by `{SHORT}`: {steps:,} training steps of the pool "
        f"({training_it:,.0f} s) and {config.iterations:,} iterations ({condensing:,.0f} s), against "
        f"{CondenseConfig.iterations:,} of the official loop's ({official:,.0f} s): "
        f"**1/{official / (training_it + condensing):.0f}** of its time, and 1/{official / condensing:.0f} "
        "once the pool is there. Each side is its measured seconds a step times the steps that it takes; "
        "neither was run to its end for this."
    )


def markdown(timings: list[Timing], threads: tuple[int, int]) -> str:
    """The section.

    Args:
        threads: of torch, ours and the official loop's.
    """
    batch_real = CondenseConfig(ipc=1).batch_real
    forward = forward_cost(NetworkConfig(), (32, 32), 3, CLASSES).embed
    work = "\n".join(
        f"- IPC {ipc}: {CLASSES} × ({batch_real} + 2 × {ipc}) × {forward / 1e9:.5f} GFLOP = "
        f"{CLASSES * (batch_real + 2 * ipc) * forward / 1e9:.0f} GFLOP"
        for ipc in (1, 10)
    )
    environment = " ".join(f"{name}={value}" for name, value in RUNNER_ENVIRONMENT.items())
    return f"""## Against the official loop

{table(timings)}

{whole_set(timings)}

An iteration is one of distribution matching with ConvNet-3-128 on {CLASSES * PER_CLASS:,} random uint8
images in CIFAR-10's shapes, batch_real {batch_real}. In the rows of `fast` and `{SHORT}`, one of their
iterations, on {RECIPES["fast"].batch_real} real images a class, stands beside one of the official loop's. An
epoch of evaluation is one training step on all its images, augmented per image; a measurement takes {EPOCHS}.
The two sides take turns in one run, each in a process of its own, after one pair that does not count; the
ratio is taken pair by pair.

**Official loop** is `bench/official_loop.py`: our writing of how the official research code works, not that
code.

**Environment.** Ours runs in deterministic mode, and as the service starts its runners
(`worker/runner_environment.py`):
`{environment}`.
The official loop runs with the defaults of allocator and OpenMP and is not deterministic, as its users have
it.

**Machine.** {machine()}. torch uses {threads[0]} threads in ours and {threads[1]} in the official loop.

**Arithmetic of an iteration**: classes × (batch_real + 2 × IPC) × forward. Real images go forward; synthetic
ones forward and, at the same cost, back to the pixels. Only convolutions are counted, a multiplication and
an addition as two.

{work}
"""
