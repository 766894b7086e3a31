"""A condensation shared out among processes equals a single one's."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import distributed

from core.engine.condense import condense
from core.engine.config import CondenseConfig, NetworkConfig
from core.engine.sharding import Shard
from core.engine.state import decoded

from .problems import random_images
from .toys import let_in

CONFIG = CondenseConfig(
    ipc=2, iterations=6, batch_real=8, network=NetworkConfig(width=4, depth=2), lr=0.5, seed=5
)
PER_CLASS = (12, 7, 12, 0, 9, 12)


def configuration(form: str) -> CondenseConfig:
    """Of pixels; of the toys, once they are let in."""
    return CONFIG if form == "pixels" else replace(CONFIG, objective="moments", form="halves", lr=0.1)


def one_process(rank: int, world: int, config: CondenseConfig, folder: Path) -> None:
    """What a process of the test below does; run as a program of its own."""
    distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=world)
    steps = list(condense(random_images(PER_CLASS), config, shard=Shard(rank=rank, world=world)))
    torch.save([(float(step.loss), dict(step.state.tensors)) for step in steps], folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.parametrize(("world", "form"), [(2, "toy"), (3, "pixels")])
def test_all_processes_end_with_a_single_ones_images(
    world: int, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(monkeypatch)
    config = configuration(form)
    here = [sys.executable, "-m", "tests.unit.engine.test_sharding"]
    processes = [
        subprocess.Popen([*here, str(rank), str(world), form, str(tmp_path)], cwd=Path(__file__).parents[3])
        for rank in range(world)
    ]
    assert [process.wait(timeout=500) for process in processes] == [0] * world
    shards = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(world)]
    steps = list(condense(random_images(PER_CLASS), config))
    for step, *theirs in zip(steps, *shards, strict=True):
        for loss, tensors in theirs:
            assert loss == pytest.approx(float(step.loss), rel=1e-5)
            assert tensors.keys() == step.state.tensors.keys()
            for name, tensor in tensors.items():
                assert torch.allclose(tensor, step.state.tensors[name], rtol=0, atol=1e-5), name
                assert torch.equal(tensor, theirs[0][1][name]), name
    first, last = (decoded(step.state, random_images(PER_CLASS), config)[0] for step in (steps[0], steps[-1]))
    assert all(part.abs().max() > 1e-3 for part in last - first), "every image was moved"


def test_every_class_belongs_to_one_process() -> None:
    for world in (1, 2, 3, 7):
        parts = [Shard(rank=rank, world=world).of(10) for rank in range(world)]
        assert [i for part in parts for i in range(10)[part]] == list(range(10))
        assert max(p.stop - p.start for p in parts) - min(p.stop - p.start for p in parts) <= 1


def test_what_cannot_be_shared_out_is_refused() -> None:
    coupled = CondenseConfig(ipc=1, network=NetworkConfig(width=4, depth=2, norm="batch"))
    for config, shard, what in (
        (coupled, Shard(rank=0, world=2), "batch norm needs all classes in one process"),
        (CONFIG, Shard(rank=0, world=6), "6 processes for 5 classes"),
        (CONFIG, Shard(rank=1, world=2), "not initialised for 2 processes"),
    ):
        with pytest.raises(ValueError, match=what):
            next(iter(condense(random_images(PER_CLASS), config, shard=shard)))
    with pytest.raises(ValueError, match="rank 2 is outside 0 to 1"):
        Shard(rank=2, world=2)


if __name__ == "__main__":
    let_in(pytest.MonkeyPatch())
    one_process(int(sys.argv[1]), int(sys.argv[2]), configuration(sys.argv[3]), Path(sys.argv[4]))
