"""The measurement of accuracy: goes on where it was interrupted, and reports what was recorded."""

import gzip
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bench.accuracy.command import main, parse
from bench.accuracy.ledger import RECORDS_FILE, Ledger, Record, read_records, text_of
from bench.accuracy.plan import condensation
from bench.accuracy.report import page
from bench.accuracy.work import UNFINISHED, _load_checkpoint, _save_checkpoint, run
from core.engine.config import CondenseConfig, PoolConfig
from core.engine.recipes import RECIPES
from core.engine.state import initial_state
from tests.unit.data.builders import Files, idx_images, idx_labels, pixels
from tests.unit.engine.problems import random_images

ROOT = Path(__file__).parents[3]
CLASSES = 2

Run = Callable[..., int]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up set under the names and in the format of Fashion-MNIST: class 1 is brighter than class 0."""
    folder = tmp_path_factory.mktemp("data")
    files: Files = {}
    for name, count, seed in (("train", 24, 0), ("t10k", 10, 1)):
        labels_N = np.arange(count) % CLASSES
        images_NHW = (
            pixels(count, 16, 1, seed)[..., 0] // 2 + (100 * labels_N).astype(np.uint8)[:, None, None]
        )
        files[f"{name}-images-idx3-ubyte.gz"] = gzip.compress(idx_images(images_NHW))
        files[f"{name}-labels-idx1-ubyte.gz"] = gzip.compress(idx_labels(labels_N.tolist()))
    (folder / "FashionMNIST").mkdir()
    for name, content in files.items():
        (folder / "FashionMNIST" / name).write_bytes(content)
    return folder


def arguments(data: Path, state: Path, *more: str) -> list[str]:
    return [
        "run", "--data", str(data), "--state", str(state), "--dataset", "fashion-mnist", "--ipc", "1",
        "--width", "4", "--iterations", "dm=4", "fast=3", "dance=3", "dance-short=3", "--pool", "1:1",
        "--epochs", "2", "--whole-epochs", "1", "--networks", "2", "--protocols", "paper",
        "--device", "cpu", *more,
    ]  # fmt: skip


def work(data: Path, state: Path, *more: str) -> int:
    return run(parse(arguments(data, state, *more)), lambda line: None)


def findings(records: list[Record]) -> list[Record]:
    """Without what the clock says, in an order that does not depend on interruptions."""
    clock = ("seconds", "pool_seconds")
    timeless = [{key: value for key, value in record.items() if key not in clock} for record in records]
    return sorted(timeless, key=text_of)


def sets(state: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {path.name: load_file(path) for path in sorted((state / "sets").iterdir())}


ALL = ("--snapshots", "2", "--cross", "dm:1")


@pytest.fixture(scope="module")
def whole_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything at once, uninterrupted."""
    state = tmp_path_factory.mktemp("state")
    assert work(data, state, *ALL) == 0
    return state


def test_a_set_field_goes_before_the_recipes(tmp_path: Path) -> None:
    given = ["run", "--data", str(tmp_path), "--dataset", "cifar-10", "--set", "lr=30", "batch_real=32"]
    config = condensation("fast", 10, parse(given))
    assert config is not None
    assert (config.lr, config.batch_real, config.lr_decay) == (30, 32, RECIPES["fast"].lr_decay)
    for wrong in ("ipc=3", "lr=much", "clamp=perhaps"):
        with pytest.raises(SystemExit):
            parse([*given, wrong])


def test_a_source_without_a_pool_has_neither_pool_nor_expert(tmp_path: Path) -> None:
    given = ["run", "--data", str(tmp_path), "--dataset", "cifar-10"]
    config = condensation("dance-short", 10, parse([*given, "--set", "source=fresh", "clamp=false"]))
    assert config is not None
    assert (config.source, config.pool, config.expert, config.clamp) == ("fresh", None, 0.0, False)
    config = condensation("fast", 10, parse([*given, "--set", "source=trajectory", "--pool", "2:3"]))
    assert config is not None and config.pool == PoolConfig(networks=2, epochs=3)
    for wrong in (["--pool", "2"], ["--iterations", "fast=x"], ["--iterations", "mtt=3"]):
        with pytest.raises(SystemExit):
            parse([*given, *wrong])


def test_every_method_is_scored_by_every_network(whole_run: Path) -> None:
    scores = [one for one in read_records(whole_run) if one["kind"] == "score"]
    found = sorted(
        (one["set"]["method"], one["set"].get("at", 0), one["training"]["network"]["name"], one["repeat"])
        for one in scores
    )
    selections = ("random", "random-collage", "herding", "k-center", "whole")
    cells = [(method, 0, "convnet") for method in selections]
    cells += [("dm", at, "convnet") for at in (2, 4)]
    cells += [(method, at, "convnet") for method in ("fast", "dance", "dance-short") for at in (2, 3)]
    cells += [("dm", 4, name) for name in ("alexnet", "vgg11", "resnet18")]
    assert found == sorted((*cell, repeat) for cell in cells for repeat in (0, 1))
    images = {one["set"]["method"]: one["train_images"] for one in scores}
    collages = dict.fromkeys(("random-collage", "dance", "dance-short"), 4 * CLASSES)
    assert images == dict.fromkeys(images, CLASSES) | collages | {"whole": 24}
    assert all(one["test_images"] == 10 for one in scores)


def test_an_interrupted_run_goes_on_to_the_same_findings(data: Path, tmp_path: Path, whole_run: Path) -> None:
    """A budget of nothing ends each run after one network, or one iteration of a condensation."""
    ends = 0
    while work(data, tmp_path, *ALL, "--budget-seconds", "0") == UNFINISHED:
        ends += 1
        # A process that is killed while it writes leaves this behind.
        with (tmp_path / RECORDS_FILE).open("ab") as file:
            file.write(b'{"kind": "sco')
    ours, theirs = sets(tmp_path), sets(whole_run)
    assert ours.keys() == theirs.keys()
    for name, tensors in ours.items():
        assert all(torch.equal(tensor, theirs[name][key]) for key, tensor in tensors.items())

    assert findings(read_records(tmp_path)) == findings(read_records(whole_run))
    # Each network but the last, each iteration but a condensation's last, and the one network of the pool.
    assert ends == 2 * 16 - 1 + (4 - 1) + 3 * (3 - 1) + 1
    assert not list((tmp_path / "checkpoints").iterdir())


def test_what_is_recorded_is_not_measured_again(data: Path, tmp_path: Path) -> None:
    few = ("--methods", "random", "dm")
    work(data, tmp_path, *few)
    before = read_records(tmp_path)
    assert work(data, tmp_path, *few) == 0
    assert read_records(tmp_path) == before
    work(data, tmp_path, *few, "--networks", "3")
    added = read_records(tmp_path)[len(before) :]
    assert [(one["set"]["method"], one["repeat"]) for one in added] == [("random", 2), ("dm", 2)]


def test_a_look_that_was_not_asked_for_before_is_taken_by_running_again(data: Path, tmp_path: Path) -> None:
    work(data, tmp_path, "--methods", "dm", "--networks", "1")
    work(data, tmp_path, "--methods", "dm", "--networks", "1", "--snapshots", "1", "3")
    made = [one["set"]["at"] for one in read_records(tmp_path) if one["kind"] == "set"]
    assert sorted(made) == [1, 3, 4]


def test_other_settings_are_other_rows(data: Path, tmp_path: Path) -> None:
    work(data, tmp_path, "--methods", "random", "dm")
    work(data, tmp_path, "--methods", "random", "dm", "--iterations", "dm=5", "--epochs", "3")
    rows = [
        line
        for line in page(read_records(tmp_path)).splitlines()
        if line.startswith("| 1 | ") and "**" in line
    ]
    assert len(rows) == 4
    assert all("| 2 |" in row for row in rows)
    assert sum("iterations 4 of 20,000" in row for row in rows) == 1
    assert sum("iterations 5 of 20,000" in row for row in rows) == 1
    assert sum("epochs 3 of 1,000" in row for row in rows) == 2


def record(method: str, accuracy: float, repeat: int, at: int, seconds: float) -> list[Record]:
    """A made-up set at IPC 10 of CIFAR-10, and one network's score on it."""
    network = {"name": "convnet", "width": 128}
    condense = {
        "ipc": 10, "iterations": 20_000 if method == "dm" else 600, "batch_real": 256, "lr": 1.0,
        "momentum": 0.5, "network": network, "seed": 0,
    }  # fmt: skip
    about = {"dataset": "cifar-10", "method": method, "ipc": 10, "condense": condense, "at": at}
    environment: dict[str, Any] = dict.fromkeys(
        ("device", "device_name", "cpu", "threads", "torch", "python", "version", "deterministic"), "x"
    )
    training = {"network": network, "epochs": 1000, "protocol": "paper", "seed": 0}
    shared = {"set": about, "environment": environment}
    return [
        {"kind": "set", "seconds": seconds, **shared},
        {
            "kind": "score",
            "training": training,
            "repeat": repeat,
            "accuracy": accuracy,
            "train_images": 100,
            **shared,
        },
    ]


def test_the_page_has_sample_deviation_published_figure_and_time_to_accuracy() -> None:
    records = [
        *record("dm", 0.47, 0, 20_000, 1000.0), *record("dm", 0.49, 1, 20_000, 1000.0),
        *record("fast", 0.40, 0, 200, 20.0), *record("fast", 0.48, 0, 400, 40.0),
        *record("fast", 0.50, 0, 600, 60.0),
    ]  # fmt: skip
    text = page(records)
    row = next(line for line in text.splitlines() if line.startswith("| 10 | dm | 100 | **"))
    assert row.startswith("| 10 | dm | 100 | **48.0 ± 1.4** | 2 | 48.9 ± 0.6 |")
    assert "| paper, 1,000 epochs, width 128, seed 0, 1,000 steps |" in row
    assert row.endswith("| networks 2 of 100 |")
    assert "| 10 | fast | 100 | **50.0** | 1 | DM: 48.9 ± 0.6 |" in text
    assert "after 400 iterations: 40.0 s against 1,000.0 s, 4.0% of" in text
    assert "| 20,000 | 1,000.0 | – | 0.05 |" in text


def test_where_settings_were_chosen_and_what_is_undertrained_is_said() -> None:
    whole = record("dm", 0.7, 0, 20_000, 1.0)[1]
    whole["set"] = {"dataset": "cifar-10", "method": "whole", "ipc": None}
    whole["training"] = {**whole["training"], "epochs": 5}
    text = page([*record("fast", 0.5, 0, 600, 60.0), whole])
    assert "`fast` were chosen by accuracy on this very test split" in text
    assert "| undertrained, no upper bound: epochs 5, networks 1 |" in text
    whole["training"]["epochs"] = 20
    assert "undertrained" not in page([whole])


def test_on_its_own_network_random_images_have_the_papers_figure_among_other_networks_too() -> None:
    own = record("random", 0.3, 0, 0, 1.0)[1]
    own["set"] = {"dataset": "cifar-10", "method": "random", "ipc": 10, "seed": 0}
    other = {**own, "training": {**own["training"], "network": {"name": "vgg11", "norm": "batch"}}}
    rows = [line for line in page([own, other]).splitlines() if line.startswith("| 10 | random | ")]
    assert "| ConvNet of width 128 | **30.0** | 1 | 26.0 |" in rows[1]
    assert "| vgg11 (batch norm) | **30.0** | 1 | – |" in rows[2]


def test_what_was_chosen_by_is_a_table_of_its_own_and_no_result(data: Path, tmp_path: Path) -> None:
    state, out = tmp_path / "state", tmp_path / "table.md"
    few = ("--methods", "random", "dance-short", "--networks", "1")
    assert work(data, state, *few, "--validation") == 0
    records = read_records(state)
    assert {one["test_images"] for one in records if one["kind"] == "score"} == {12}
    with pytest.raises(ValueError, match="no network has been scored yet"):
        page(records)
    assert main(["report", "--validation", "--state", str(state), "--out", str(out)], print) == 0
    assert out.read_text().count("| 1 | dance-short | ") == out.read_text().count("| 1 | random | ") == 1
    assert "pool of 1 × 1 epochs" in out.read_text()
    with pytest.raises(SystemExit):
        main(["report", "--validation", "--state", str(state)], print)
    # The test split's own, beside them: the pool is trained anew, on all of the training split.
    assert work(data, state, *few) == 0
    assert [one["set"]["validation"] for one in read_records(state) if one["kind"] == "pool"] == [True, False]
    assert "| 1 | random | " in page(read_records(state))


def test_a_halved_micro_batch_outlives_an_interruption(tmp_path: Path) -> None:
    real = random_images()
    state = replace(initial_state(real, CondenseConfig(ipc=1)), iteration=3, micro_batch=8)
    _save_checkpoint(tmp_path / "run.pt", state, 2.0)
    loaded, seconds = _load_checkpoint(tmp_path / "run.pt", torch.device("cpu"))
    assert loaded is not None and seconds == 2.0
    assert (loaded.iteration, loaded.micro_batch) == (3, 8)
    assert torch.equal(loaded.tensors["images_NCHW"], state.tensors["images_NCHW"])


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with Ledger(tmp_path), pytest.raises(BlockingIOError, match="another run is writing there"):
        Ledger(tmp_path)


def test_a_damaged_record_is_an_error_that_says_where(tmp_path: Path) -> None:
    (tmp_path / RECORDS_FILE).write_text('{"kind": "set"}\n{"kind":\n')
    with pytest.raises(ValueError, match="line 2: not JSON"):
        read_records(tmp_path)


def test_cross_architecture_of_a_set_that_is_not_made_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        work(data, tmp_path, "--cross", "dm:50")
    assert "--cross dm:50 is not among --methods and --ipc" in capsys.readouterr().err


def test_the_commands(data: Path, tmp_path: Path) -> None:
    state, out = tmp_path / "state", tmp_path / "results.md"
    with pytest.raises(FileNotFoundError, match="nothing was measured"):
        main(["report", "--state", str(state), "--out", str(out)], print)
    measured = subprocess.run(
        [sys.executable, "-m", "bench.accuracy", *arguments(data, state, "--methods", "random")],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert measured.returncode == 0, measured.stderr
    assert "random, IPC 1: network 2 (convnet)" in measured.stdout
    assert all(one["environment"]["deterministic"] for one in read_records(state))
    assert main(["report", "--state", str(state), "--out", str(out)], print) == 0
    assert "| 1 | random | 2 | **" in out.read_text()
    with out.open("a") as file:
        file.write("\n## Remarks\n\nBy hand.\n")
    for _ in range(2):
        assert main(["report", "--state", str(state), "--out", str(out)], print) == 0
    assert out.read_text().count("## Remarks") == 1 and out.read_text().endswith(
        "\n\n## Remarks\n\nBy hand.\n"
    )
