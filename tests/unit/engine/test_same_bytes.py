"""The bytes that the engine gave when they were recorded: whatever is redrawn, a seed keeps its images.

same_bytes.json holds, for each case, the SHA-256 of all it computes and a few of the numbers. The bits depend
on the processor, on torch and on the compiler that makes the ConvNet blocks: where these are those of the
recording, the SHA-256 must be the same; elsewhere, and there too, the numbers must be, to rounding.

`python -m tests.unit.engine.test_same_bytes` writes the file anew: only for a change that is meant to change
bits.
"""

import hashlib
import json
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.engine.baselines import herding, k_center, random_selection, train_feature_network
from core.engine.condense import condense
from core.engine.config import CondenseConfig, EvaluateConfig, NetworkConfig
from core.engine.cpu import blocks
from core.engine.cpu.library import library
from core.engine.ensembles import train_and_score_ensemble
from core.engine.evaluate import Score, train_and_score, train_network
from core.engine.images import LabelledImages
from core.engine.protocols.paper import PAPER
from core.engine.recipes import RECIPES
from core.engine.state import initial_state, synthetic_labels

from .problems import bright_quarters, random_images

RECORDED = Path(__file__).with_name("same_bytes.json")
NUMBERS = 32
"""Kept of each tensor, evenly spread, beside the SHA-256 of all."""

WIDE = NetworkConfig(width=16, depth=2)
"""A width that the compiled blocks can do."""


@dataclass(frozen=True)
class Found:
    """What a case computes. Exact: the same on every machine, as it depends on the CPU's generator alone."""

    tensors: dict[str, Tensor]
    exact: dict[str, list[int]]


def condensed(
    recipe: str, ipc: int = 2, micro_batch: int | None = None, network: NetworkConfig = WIDE, **settings: Any
) -> Found:
    """Six iterations of a recipe."""
    real = random_images((30, 9, 30), channels=3)
    of_recipe = RECIPES[recipe].settings(ipc) | {"iterations": 6} | settings
    config = CondenseConfig(ipc=ipc, network=network, seed=11, **of_recipe)
    steps = list(condense(real, config, micro_batch=micro_batch))
    state = steps[-1].state
    return Found(
        tensors={
            "start": initial_state(real, config).tensors["images_NCHW"],
            "images": state.tensors["images_NCHW"],
            "velocity": state.tensors["velocity_NCHW"],
            "losses": torch.stack([step.loss for step in steps]),
        },
        exact={},
    )


def to_the_end(steps: Iterator[Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def scored(scores: list[Score]) -> Found:
    return Found(
        tensors={
            "confusion": torch.tensor([score.confusion for score in scores], dtype=torch.float32),
            "train_loss": torch.tensor([score.train_loss for score in scores]),
        },
        exact={},
    )


def evaluated(network: NetworkConfig = WIDE, *, at_once: bool = False, **settings: Any) -> Found:
    """Two networks trained on twelve images, and what they make of noise: answers of all kinds."""
    whole = bright_quarters(12, seed=3)
    chosen = torch.cat([indices[:3] for indices in whole.indices_by_class])
    train = whole.normalised(chosen, "cpu"), synthetic_labels(whole, 3)
    test = random_images((25,) * 4, seed=4)
    config = EvaluateConfig(
        network=network, networks=2, epochs=4, protocol=replace(PAPER, batch=5), seed=7, **settings
    )
    if at_once:
        return scored(to_the_end(train_and_score_ensemble(train, test, config, (0, 1))))
    found = scored([to_the_end(train_and_score(train, test, config, repeat)) for repeat in (0, 1)])
    trained, _ = to_the_end(train_network(train, test.num_classes, config, 0))
    found.tensors["weights"] = torch.cat([weights.detach().flatten() for weights in trained.parameters()])
    return found


def selected() -> Found:
    real = random_images((30, 9, 30), channels=3)
    config = EvaluateConfig(network=WIDE, networks=1, epochs=2, protocol=replace(PAPER, batch=16), seed=7)
    embed = to_the_end(train_feature_network(real, config))
    by_features = {"herding": herding(real, 4, embed), "k-center": k_center(real, 4, embed)}

    def doubles(x_NCHW: Tensor) -> Tensor:
        return x_NCHW.double().flatten(1)

    picks = {
        "random": random_selection(real, 4, 7),
        "herding of pixels": herding(real, 4, doubles),
        "k-center of pixels": k_center(real, 4, doubles),
    }
    return Found(
        tensors={
            "features": embed(real.normalised(torch.arange(20), "cpu")).detach(),
            # Not their indices: elsewhere another of two that are as good may be picked.
            **{name: embedded(real, embed, one.indices_N) for name, one in by_features.items()},
        },
        exact={name: one.indices_N.tolist() for name, one in picks.items()},
    )


def embedded(real: LabelledImages, embed: Callable[[Tensor], Tensor], indices_N: Tensor) -> Tensor:
    return embed(real.normalised(indices_N, "cpu")).detach()


CASES: dict[str, Callable[[], Found]] = {
    "dm": lambda: condensed("dm", batch_real=20),
    "dm, two passes": lambda: condensed("dm", batch_real=20, micro_batch=4),
    "dm, classes in parts": lambda: condensed("dm", ipc=5, batch_real=20, micro_batch=3),
    "dm from noise": lambda: condensed("dm", batch_real=8, init="noise", augment="none"),
    "dm, batch norm": lambda: condensed("dm", batch_real=8, network=replace(WIDE, norm="batch")),
    "dm, LeNet": lambda: condensed("dm", batch_real=8, network=NetworkConfig(name="lenet", norm="none")),
    "fast": lambda: condensed("fast"),
    "fast, classes in parts": lambda: condensed("fast", ipc=3, micro_batch=2),
    "evaluation": evaluated,
    "evaluation, swish": lambda: evaluated(replace(WIDE, activation="swish"), augment="none"),
    "evaluation, an ensemble": lambda: evaluated(at_once=True),
    "selections": selected,
}
WHO = ("compiled", "torch")
"""Who computes ConvNet's blocks."""


def facts() -> dict[str, str]:
    """What the bits depend on besides the code."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else [platform.processor()]
    marks = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    version = "none"
    if compiler is not None:
        version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "processor": hashlib.sha256("\n".join(marks).encode()).hexdigest()[:16],
        "compiler": version.splitlines()[0],
        "libc": " ".join(platform.libc_ver()),
        "threads": str(torch.get_num_threads()),
    }


def sha256(found: Found) -> str:
    digest = hashlib.sha256(json.dumps(found.exact, sort_keys=True).encode())
    for name, tensor in sorted(found.tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def numbers(tensor: Tensor) -> list[float]:
    values = tensor.flatten()
    at = torch.linspace(0, len(values) - 1, min(NUMBERS, len(values))).long()
    return [float(f"{float(value):.6g}") for value in values[at]]


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def computed_by(patch: pytest.MonkeyPatch, who: str) -> None:
    """Take the compiled blocks away, as if no compiler had made them."""
    if who == "torch":
        patch.setattr(blocks, "usable", lambda width, x_NCHW: False)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("case", CASES)
def test_the_same_bytes(case: str, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = json.loads(RECORDED.read_text())
    expected = recorded["cases"][f"{case}, {who}"]
    computed_by(monkeypatch, who)
    found = CASES[case]()
    # To rounding, wherever this runs; without a compiler the blocks are torch's in both cases.
    assert found.exact == expected["exact"]
    assert found.tensors.keys() == expected["numbers"].keys()
    for name, tensor in found.tensors.items():
        kept = torch.tensor(expected["numbers"][name])
        # A ReLU that rounding turns over moves a pixel a little, and one of a hundred answers.
        wrong = 2.0 if name == "confusion" else 2e-3 * max(1.0, float(kept.abs().max()))
        assert torch.allclose(torch.tensor(numbers(tensor)), kept, rtol=0, atol=wrong), name
    if recorded["facts"] == facts() and (who == "torch" or library() is not None):
        assert sha256(found) == expected["sha256"]


def test_another_seed_is_noticed() -> None:
    """Negative control: the numbers alone would tell."""
    expected = json.loads(RECORDED.read_text())["cases"]["dm, compiled"]["numbers"]
    other = condensed("dm", batch_real=20, lr=1.1)
    assert not torch.allclose(
        torch.tensor(numbers(other.tensors["images"])), torch.tensor(expected["images"]), rtol=0, atol=2e-3
    )


def record() -> None:
    torch.set_num_threads(1)
    cases = {}
    for who in WHO:
        with pytest.MonkeyPatch.context() as patch:
            computed_by(patch, who)
            for case, compute in CASES.items():
                found = compute()
                cases[f"{case}, {who}"] = {
                    "sha256": sha256(found),
                    "exact": found.exact,
                    "numbers": {name: numbers(tensor) for name, tensor in found.tensors.items()},
                }
    lines = ",\n".join(f"{json.dumps(case)}: {json.dumps(found)}" for case, found in cases.items())
    RECORDED.write_text(f'{{"facts": {json.dumps(facts())},\n"cases": {{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    record()
