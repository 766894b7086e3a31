"""The n-th input of a target: the same for the same seed, whatever came before it."""

import gzip
import lzma
from random import Random

import zstandard

from tests.data.pack import tar_of
from tests.fuzz.edits import tar_field, zip_field
from tests.fuzz.mutate import mutate
from tests.fuzz.seeds import CONTAINER_WORDS, PACKERS, TARGETS, Seed, Target
from tests.unit.data.builders import Files

NAMES = (
    *("x.npy", "y.npy", "x_train.npy", "labels.npy", "classes.npy", "data_batch_9", "test_batch", "meta"),
    *("batches.meta", "t10k-images", "train-labels", "train/a/0", "val/b/0", "test/a", "a", "a/b/c/d/e"),
    *("A/0", "..", "../a/0", "/a/0", "a\\0", "C:x", "a/" * 20 + "x", "\u00e9/1", "e\u0301/1", ".hidden", " "),
)
COMPRESS = {
    "tar.gz": lambda data: gzip.compress(data, 1),
    "tar.xz": lambda data: lzma.compress(data, preset=0),
    "tar.zst": lambda data: zstandard.compress(data, 1),
}


def generate(name: str, seed: int, index: int) -> bytes:
    """Input number `index` of the target of that name."""
    rng = Random(f"{name}/{seed}/{index}")
    target = TARGETS[name]
    chosen, other = rng.choice(target.seeds), rng.choice(target.seeds)
    if name in PACKERS:
        return _container(rng, target, chosen, other)
    files = dict(chosen.files)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        _edit_members(rng, target, files, other.files)
    data = PACKERS[chosen.container](files)
    return mutate(rng, data, target.words, b"") if rng.random() < 0.05 else data


def _edit_members(rng: Random, target: Target, files: Files, other: Files) -> None:
    name = rng.choice(list(files)) if files else "a/0"
    content = files.get(name, b"")
    how = rng.random()
    if how < 0.85 or target.single_image:
        foreign = rng.choice(list(other.values()))
        if target.edits and rng.random() < 0.4:
            content = rng.choice(target.edits)(rng, content)
        else:
            content = mutate(rng, content, target.words, foreign)
        files[name] = content
    elif how < 0.89:
        files[rng.choice(NAMES)] = content
    elif how < 0.93:
        files.pop(name, None)
        files[rng.choice(NAMES)] = content
    elif how < 0.96:
        files.pop(name, None)
    else:
        files[name] = rng.choice(list(files.values())) if files else b""


def _container(rng: Random, target: Target, chosen: Seed, other: Seed) -> bytes:
    kind = chosen.container
    files = dict(chosen.files)
    if rng.random() < 0.1:
        _edit_members(rng, target, files, other.files)
    if kind == "zip":
        data = PACKERS[kind](files)
        for _ in range(rng.choice((1, 1, 2, 3))):
            fields = rng.random() < 0.6
            data = zip_field(rng, data) if fields else mutate(rng, data, CONTAINER_WORDS, data)
        return data
    data = tar_of(files)
    if kind == "tar" or rng.random() < 0.5:
        for _ in range(rng.choice((1, 1, 2, 3))):
            fields = rng.random() < 0.7
            data = tar_field(rng, data) if fields else mutate(rng, data, CONTAINER_WORDS, data)
    if kind == "tar":
        return data
    data = COMPRESS[kind](data)
    return mutate(rng, data, CONTAINER_WORDS, data) if rng.random() < 0.6 else data
