"""A condensation shared out among processes equals a single one's."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed

from core.engine.condense import condense
from core.engine.config import CondenseConfig, NetworkConfig
from core.engine.sharding import Shard

from .problems import random_images

CONFIG = CondenseConfig(
    ipc=2, iterations=6, batch_real=8, network=NetworkConfig(width=4, depth=2), lr=0.5, seed=5
)
PER_CLASS = (12, 7, 12, 0, 9, 12)


def one_process(rank: int, world: int, folder: Path) -> None:
    """What a process of the test below does; run as a program of its own."""
    distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=world)
    steps = list(condense(random_images(PER_CLASS), CONFIG, shard=Shard(rank=rank, world=world)))
    kept = [(float(step.loss), step.state.images_NCHW, step.state.velocity_NCHW) for step in steps]
    torch.save(kept, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.parametrize("world", [2, 3])
def test_all_processes_end_with_a_single_ones_images(world: int, tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.unit.engine.test_sharding", str(rank), str(world), str(tmp_path)],
            cwd=Path(__file__).parents[3],
        )
        for rank in range(world)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0] * world
    shards = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(world)]
    for step, *theirs in zip(condense(random_images(PER_CLASS), CONFIG), *shards, strict=True):
        for loss, images_NCHW, velocity_NCHW in theirs:
            assert loss == pytest.approx(float(step.loss), rel=1e-5)
            assert torch.allclose(images_NCHW, step.state.images_NCHW, rtol=0, atol=1e-5)
            assert torch.equal(images_NCHW, theirs[0][1]) and torch.equal(velocity_NCHW, theirs[0][2])
    moved = step.state.images_NCHW - next(iter(condense(random_images(PER_CLASS), CONFIG))).state.images_NCHW
    assert all(part.abs().max() > 1e-3 for part in moved), "every image was moved"


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
    one_process(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
