"""The GPU benchmark itself runs, measures what it says it measures, and needs torch and numpy alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.fixed_step import FixedStep, augment, pack
from bench.gpu import random_cifar
from bench.gpu_report import Report, Scale
from bench.gpu_ways import errors, mixed
from core.engine.augment import apply, draw
from core.engine.condense import condense
from core.engine.config import AUGMENT_OPS, CondenseConfig, NetworkConfig
from core.engine.images import LabelledImages
from core.engine.seeds import generator
from core.engine.state import initial_state

ROOT = Path(__file__).parents[3]


def resident_set() -> LabelledImages:
    real = random_cifar(12)
    pixels_NHWC = torch.as_tensor(real.images_NHWC)
    return LabelledImages(pixels_NHWC, real.labels_N, real.mean, real.std, real.num_classes)


@pytest.mark.timeout(120)
def test_a_smoke_run_measures_every_row(tmp_path: Path) -> None:
    environment = {**os.environ, "OUT": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "bench/gpu.py", "--smoke"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    table = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert table.strip() in done.stdout
    rows = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["rows"]
    assert {"official loop", "the engine", "fixed shapes, float32", "an ensemble, float32"} <= {
        row["way"] for row in rows
    }
    assert all(row["milliseconds"] > 0 and not row["note"] for row in rows)
    exact = [row for row in rows if row["way"] in ("the engine", "fixed shapes, float32")]
    assert all(row["gradient_error"] < 1e-4 for row in exact)


def test_without_a_gpu_it_says_so() -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "bench/gpu.py"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2 and "no CUDA device" in done.stderr


def test_engine_and_gpu_benchmark_need_torch_and_numpy_alone() -> None:
    program = """
import importlib, pkgutil, sys
import numpy, torch, torch.distributed
import torch.utils.flop_counter  # takes triton along where torch brought it
before = set(sys.modules)
import core.engine, bench.gpu
for module in pkgutil.walk_packages(core.engine.__path__, "core.engine."):
    importlib.import_module(module.name)
names = {name.partition(".")[0] for name in set(sys.modules) - before}
wrong = names - sys.stdlib_module_names - {"core", "bench", "torch", "numpy"}
others = {name for name in sys.modules if name.startswith(("core.", "bench."))}
ours = ("core.engine", "bench.gpu", "bench.fixed_step", "bench.official_loop")
outside = {name for name in others if not name.startswith(ours)}
sys.exit(f"also imported: {sorted(wrong | outside)}" if wrong | outside else 0)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("size", [(16, 16), (17, 24)])
@pytest.mark.parametrize("op", ["none", *AUGMENT_OPS])
def test_fixed_shapes_augment_as_the_engine_does(op: str, size: tuple[int, int]) -> None:
    for seed in range(4):
        augmentations = [
            draw(op, generator(seed, 0, "test"), size), draw("none", generator(0, 0, "none"), size)
        ]  # fmt: skip
        x_CNDHW = torch.randn(2, 3, 3, *size, generator=generator(seed, 0, "images")).double()
        augmented_CNDHW = augment(pack(augmentations, size).double(), x_CNDHW)
        for c, augmentation in enumerate(augmentations):
            assert torch.allclose(augmented_CNDHW[c], apply(augmentation, x_CNDHW[c]), rtol=0, atol=1e-5)


def test_fixed_shapes_iterate_as_the_engine_does() -> None:
    real = resident_set()
    # A smooth activation: rounding beside ReLU's kink can turn a whole gradient path off or on.
    network = NetworkConfig(width=4, activation="swish")
    config = CondenseConfig(ipc=2, iterations=4, batch_real=8, momentum=0, network=network, seed=2)
    step = FixedStep(real, config, torch.device("cpu"), lambda embed: embed)
    images_NCHW = initial_state(real, config).tensors["images_NCHW"]
    for theirs in condense(real, config):
        step.renew(theirs.iteration - 1)
        loss, gradient_NCHW = step.loss_and_gradient(step.draws(theirs.iteration - 1), images_NCHW)
        found = errors((loss, gradient_NCHW), (theirs.loss, theirs.state.tensors["velocity_NCHW"]))
        assert found["loss_error"] < 1e-5 and found["gradient_error"] < 1e-4
        images_NCHW = theirs.state.tensors["images_NCHW"]


def test_a_wrong_gradient_is_no_timing() -> None:
    true = (torch.ones(()), torch.ones(3))
    with pytest.raises(ArithmeticError, match="wrong"):
        errors((torch.ones(()), torch.tensor([1.0, 1.0, 0.0])), true)
    with pytest.raises(ArithmeticError, match="wrong"):
        errors((torch.tensor(torch.nan), torch.ones(3)), true)


def test_a_new_network_in_place_is_no_new_compilation() -> None:
    config = CondenseConfig(ipc=1, batch_real=4, network=NetworkConfig(width=4))
    step = FixedStep(resident_set(), config, torch.device("cpu"), lambda embed: embed)
    eager = mixed(step.network.embed)
    torch.compiler.reset()
    compiled = torch.compile(eager, backend="aot_eager", fullgraph=True, dynamic=False)
    x_NCHW = torch.randn(4, 3, 32, 32, generator=generator(0, 0, "images"))
    before_NF = compiled(x_NCHW)
    step.renew(1)
    with torch._dynamo.config.patch(error_on_recompile=True):
        after_NF = compiled(x_NCHW)
    assert torch.equal(after_NF, eager(x_NCHW)) and not torch.equal(after_NF, before_NF)


def test_a_failing_row_does_not_cost_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OUT", raising=False)
    scale = Scale(
        device="cpu", per_class=1, batch_real=1, ipcs=(), width=1, steps=1, seconds=1, networks=1
    )  # fmt: skip
    report = Report(scale)

    def failing() -> dict[str, float]:
        raise RuntimeError("out of luck\nand more")

    report.measure("condensation", "first", failing)
    report.measure("condensation", "second", lambda: {"milliseconds": 2.0, "steps": 1})
    assert "| failed: RuntimeError: out of luck |" in report.table()
    assert "| condensation | second | 2.00 | 1 | 40 s |" in report.table()
