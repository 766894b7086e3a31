"""`python bench/gpu.py`: the engine on one CUDA GPU, unattended, in less than nine minutes.

Needs Python, torch and numpy alone. Every way of computing is first checked against a plain float32
reference, class by class, then timed. A row that fails says so and does not cost the others theirs. Prints a
Markdown table; with OUT in the environment also writes $OUT/gpu.md and $OUT/gpu.json, anew after every row.
`--smoke` runs all that a CPU can run of it on tiny shapes.
"""

import argparse
import itertools
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

# cuBLAS reads it at its first use.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import Tensor

from bench import official_loop
from bench.fixed_step import FixedStep
from bench.gpu_report import Report, Row, Scale, timed
from bench.gpu_ways import WAYS, Loop, Way, errors, plain, reference, set_arithmetic
from core.engine.augment import draw
from core.engine.condense import condense
from core.engine.config import CondenseConfig, EvaluateConfig, NetworkConfig
from core.engine.ensembles import train_and_score_ensemble
from core.engine.evaluate import Progress, Score, train_and_score
from core.engine.images import LabelledImages, resident
from core.engine.matching import matching_loss_and_gradient
from core.engine.memory import default_micro_batch
from core.engine.objectives.mean import Mean
from core.engine.precision import on_device
from core.engine.seeds import generator
from core.engine.state import initial_state, synthetic_labels

CLASSES, SIDE = 10, 32

FULL = Scale(
    device="cuda",
    per_class=5_000,
    batch_real=256,
    ipcs=(10, 50),
    width=128,
    steps=400,
    seconds=8,
    networks=20,
)
SMOKE = Scale(device="cpu", per_class=20, batch_real=4, ipcs=(2,), width=4, steps=2, seconds=2, networks=3)


def random_cifar(per_class: int) -> LabelledImages:
    """Noise in the shapes of CIFAR-10's training split: speed does not depend on what the pixels show."""
    chance = np.random.default_rng(0)
    images_NHWC = chance.integers(0, 256, (CLASSES * per_class, SIDE, SIDE, 3), dtype=np.uint8)
    labels_N = chance.permutation(np.repeat(np.arange(CLASSES), per_class)).astype(np.int64)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    return LabelledImages(images_NHWC, labels_N, mean, std, CLASSES)


def condensations(report: Report, real: LabelledImages) -> None:
    """The official loop, the engine as it is, then the candidates, for each number of images per class."""
    scale = report.scale
    device = torch.device(scale.device)
    everything = torch.arange(len(real))
    for ipc in scale.ipcs:
        work = f"condensation, IPC {ipc}"
        config = CondenseConfig(
            ipc=ipc, batch_real=scale.batch_real, network=NetworkConfig(width=scale.width)
        )
        images_NCHW = initial_state(real, config, device).tensors["images_NCHW"]
        true = reference(FixedStep(real, config, device, plain), images_NCHW)

        def official(ipc: int = ipc) -> dict[str, Any]:
            set_arithmetic(deterministic=False, tf32=True)
            float_NCHW, labels_N = real.normalised(everything, device), real.labels(everything, "cpu")
            return timed(official_loop.condense(float_NCHW, labels_N, ipc, scale.batch_real), scale)

        official_row = report.measure(work, "official loop", official)

        def gained(found: dict[str, Any], official_row: Row = official_row) -> dict[str, Any]:
            if official_row.milliseconds is None:
                return found
            return {**found, "gain": official_row.milliseconds / found["milliseconds"]}

        def engine(
            config: CondenseConfig = config, true: Any = true, images_NCHW: Tensor = images_NCHW
        ) -> dict[str, Any]:
            set_arithmetic()
            step = FixedStep(real, config, device, plain)
            step.renew(0)
            draws, chance = step.draws(0), generator(config.seed, 0, "augmentation")
            augmentations = [draw(config.augment, chance, real.size) for _ in real.classes]
            embedder = on_device(step.network, device)
            real_batches = (real.normalised(indices_B, device) for indices_B in draws.indices_CB)
            found = matching_loss_and_gradient(
                Mean(), embedder, real_batches, images_NCHW, augmentations, default_micro_batch(device)
            )
            return gained({**errors(found, true), **timed(condense(real, config, device=device), scale)})

        report.measure(work, "the engine", engine)

        def host(config: CondenseConfig = config) -> dict[str, Any]:
            step = FixedStep(real, config, device, plain)
            return timed(map(step.draws, itertools.count()), scale)

        report.measure(work, "(the host's draws alone)", host)

        for way in WAYS:
            if scale.device == "cpu" and (way.graph or "compiled" in way.name):
                continue

            def candidate(
                way: Way = way,
                config: CondenseConfig = config,
                true: Any = true,
                images: Tensor = images_NCHW,
            ) -> dict[str, Any]:
                set_arithmetic(tf32=way.tf32)
                loop = Loop(FixedStep(real, config, device, way.embed_with), images, graph=way.graph)
                off = errors(loop.first(), true)
                return gained({**off, **timed(iter(loop), scale)})

            report.measure(work, way.name, candidate)


Finished = list[Score]


def scores(steps: Generator[Progress, None, Score | Finished]) -> Finished:
    """Run to the end."""
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            found: Score | Finished = finished.value
            return [found] if isinstance(found, Score) else found


def evaluations(report: Report, real: LabelledImages) -> None:
    """Networks one after another and as an ensemble; milliseconds are for one step of all of them."""
    scale = report.scale
    for ipc, (way, tf32, autocast) in itertools.product(
        scale.ipcs, (("float32", False, False), ("TF32", True, False), ("bfloat16", True, True))
    ):
        work = f"training {scale.networks} networks on {CLASSES * ipc} images"
        chosen = torch.cat([indices[:ipc] for indices in real.indices_by_class])
        train = real.normalised(chosen, scale.device), synthetic_labels(real, ipc).to(scale.device)
        held_out = torch.arange(min(1_000, len(real)))
        test = LabelledImages(
            real.images_NHWC[held_out], real.labels(held_out, "cpu"), real.mean, real.std, CLASSES
        )
        config = EvaluateConfig(network=NetworkConfig(width=scale.width), networks=scale.networks)
        few = EvaluateConfig(network=NetworkConfig(width=scale.width), networks=2, epochs=3)
        repeats = range(scale.networks)

        def one_by_one(train: Any = train, test: Any = test, config: Any = config) -> dict[str, Any]:
            set_arithmetic(tf32=tf32)  # noqa: B023 (called before the next turn)
            with torch.autocast(scale.device, dtype=torch.bfloat16, enabled=autocast):  # noqa: B023
                found = timed(train_and_score(train, test, config, 0, device=scale.device), scale)
            return {**found, "milliseconds": found["milliseconds"] * scale.networks}

        alone = report.measure(work, f"one after another, {way}", one_by_one)

        def at_once(
            train: Any = train, test: Any = test, config: Any = config, few: Any = few, alone: Row = alone
        ) -> dict[str, Any]:
            set_arithmetic(tf32=tf32)  # noqa: B023
            with torch.autocast(scale.device, dtype=torch.bfloat16, enabled=autocast):  # noqa: B023
                own = [scores(train_and_score(train, test, few, r, device=scale.device))[0] for r in (0, 1)]
                both = scores(train_and_score_ensemble(train, test, few, (0, 1), device=scale.device))
                off = max(abs(b.train_loss / o.train_loss - 1) for b, o in zip(both, own, strict=True))
                if not off < 0.05:
                    raise ArithmeticError(f"wrong: a training loss is off by {off:.1e} after 3 epochs")
                steps = train_and_score_ensemble(train, test, config, repeats, device=scale.device)  # noqa: B023
                found = timed(steps, scale)
            if alone.milliseconds is not None:
                found["gain"] = alone.milliseconds / found["milliseconds"]
            return {**found, "loss_error": off}

        report.measure(work, f"an ensemble, {way}", at_once)


def main(smoke: bool) -> int:
    """Measure everything; 1 if a row failed."""
    if not smoke and not torch.cuda.is_available():
        print("bench/gpu.py: no CUDA device here; --smoke runs on the CPU", file=sys.stderr)  # noqa: T201
        return 2
    scale = SMOKE if smoke else FULL
    report = Report(scale)
    real = random_cifar(scale.per_class)
    if smoke:
        real = LabelledImages(
            torch.as_tensor(real.images_NHWC), real.labels_N, real.mean, real.std, real.num_classes
        )
    else:
        real = resident(real, scale.device)
    condensations(report, real)
    evaluations(report, real)
    print("\n" + report.table())  # noqa: T201
    return int(any(row.note for row in report.rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="tiny shapes on the CPU")
    sys.exit(main(parser.parse_args().smoke))
