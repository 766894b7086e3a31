"""`python -m bench.accuracy run|report`: what the engine's sets are worth on real data, into docs/results.md.

`run` measures and writes each finished set and each network's score to --state at once: interrupted or out of
budget, the same command goes on (status 75 says that it has to). What is recorded is not measured again, so
a new version of the engine needs a new --state. `report` writes the page from the records alone, but for the
remarks at its end, which it keeps.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.accuracy import plan, report, work
from bench.accuracy.datasets import DATASETS
from bench.accuracy.ledger import read_records
from core.engine.config import EvaluateConfig, NetworkConfig, PoolConfig
from core.engine.protocols import PROTOCOLS
from core.engine.recipes import RECIPES
from core.kinds.device import make_deterministic
from core.trials.spec import AUTO, WHOLE_EPOCHS

PAGE = Path(__file__).parents[2] / "docs" / "results.md"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure")
    run.add_argument(
        "--data", type=Path, required=True, help="folder with FashionMNIST/ and the CIFAR archive"
    )
    run.add_argument("--dataset", choices=list(DATASETS), required=True)
    run.add_argument("--ipc", type=int, nargs="+", default=[1, 10, 50], help="images per class")
    run.add_argument("--methods", nargs="+", choices=plan.METHODS, default=list(plan.METHODS))
    run.add_argument("--width", type=int, default=NetworkConfig.width, help="of ConvNet")
    run.add_argument(
        "--iterations", type=_iterations, nargs="+", default=[], metavar="RECIPE=N",
        help="instead of the recipe's",
    )  # fmt: skip
    run.add_argument(
        "--pool",
        type=_pool,
        metavar="NETWORKS:EPOCHS[:WIDTH]",
        help="instead of the pool of recipes that have one",
    )
    run.add_argument(
        "--protocols", nargs="+", choices=[AUTO, *PROTOCOLS], default=[AUTO], help="to train networks by"
    )
    run.add_argument(
        "--validation", action="store_true",
        help="make sets of a part of the training split and test on the rest of it: to choose settings",
    )  # fmt: skip
    run.add_argument(
        "--set", type=_setting, nargs="+", default=[], metavar="NAME=VALUE",
        help="fields of CondenseConfig that go before the recipes', such as lr=30 lr_decay=0.5",
    )  # fmt: skip
    run.add_argument("--epochs", type=int, help="on a set; default: as many as the protocol asks for")
    run.add_argument("--whole-epochs", type=int, default=WHOLE_EPOCHS, help="on the whole training split")
    run.add_argument("--networks", type=int, default=EvaluateConfig.networks, help="trained for each figure")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument(
        "--snapshots", type=int, nargs="+", default=[], help="iterations to evaluate condensed sets at"
    )
    run.add_argument(
        "--cross", type=_cross, nargs="+", default=[], metavar="METHOD:IPC",
        help="sets to evaluate on AlexNet, VGG11 and ResNet18, too",
    )  # fmt: skip
    run.add_argument("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto")
    run.add_argument("--budget-seconds", type=plan.finite_seconds, default=float("inf"))
    written = commands.add_parser("report", help=f"write {PAGE.name}")
    written.add_argument("--out", type=Path, default=PAGE)
    written.add_argument(
        "--validation", action="store_true", help="instead, what was measured so, as a table for --out"
    )
    for command in (run, written):
        command.add_argument(
            "--state", type=Path, default=Path(tempfile.gettempdir()) / "condensery-accuracy"
        )
    return top


def _truth(text: str) -> bool:
    return {"true": True, "false": False}[text]


_SETTINGS: Mapping[str, Callable[[str], Any]] = {
    "batch_real": int,
    "batch_synthetic": int,
    "lr": float,
    "lr_decay": float,
    "momentum": float,
    "expert": float,
    "form": str,
    "objective": str,
    "source": str,
    "composed": _truth,
    "clamp": _truth,
}
"""Fields of CondenseConfig that can be set, and how each is read."""


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    if name not in _SETTINGS:
        raise argparse.ArgumentTypeError(f"{text!r} sets none of {', '.join(_SETTINGS)}")
    try:
        return name, _SETTINGS[name](value)
    except (ValueError, KeyError) as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {value!r} cannot be its value") from error


def _iterations(text: str) -> tuple[str, int]:
    recipe, _, count = text.partition("=")
    if recipe not in RECIPES or not count.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not RECIPE=N, such as dm=500")
    return recipe, int(count)


def _pool(text: str) -> PoolConfig:
    try:
        networks, epochs, *width = (int(part) for part in text.split(":"))
        return PoolConfig(networks=networks, epochs=epochs, width=width.pop() if len(width) == 1 else None)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NETWORKS:EPOCHS or NETWORKS:EPOCHS:WIDTH, such as 1:6:64: {error}"
        ) from error


def _cross(text: str) -> tuple[str, int]:
    method, _, ipc = text.partition(":")
    if method not in plan.METHODS or method == "whole":
        raise argparse.ArgumentTypeError(f"{text!r} is not METHOD:IPC, such as dm:50")
    return method, int(ipc)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Options that fit each other; exits with a message if they do not."""
    top = parser()
    options = top.parse_args(arguments)
    if options.command == "report" and options.validation and options.out == PAGE:
        top.error("report --validation needs --out: that table is no page of its own")
    if options.command == "run":
        for method, ipc in options.cross:
            if method not in options.methods or ipc not in options.ipc:
                top.error(f"--cross {method}:{ipc} is not among --methods and --ipc")
        for name in ("ipc", "snapshots", "networks", "whole_epochs"):
            given = getattr(options, name)
            if min(given if isinstance(given, list) else [given], default=1) < 1:
                top.error(f"--{name.replace('_', '-')} must be at least 1")
    return options


def main(arguments: list[str], log: Callable[[str], None]) -> int:
    """Do as the command line says; returns the exit status. `log` is called for each finished unit."""
    options = parse(arguments)
    if options.command == "report":
        if options.validation:
            options.out.write_text(report.choices(read_records(options.state)), encoding="utf-8")
            return 0
        text = report.page(read_records(options.state))
        options.out.parent.mkdir(exist_ok=True)
        if options.out.exists():
            text += report.remarks(options.out.read_text(encoding="utf-8"))
        options.out.write_text(text, encoding="utf-8")
        return 0
    make_deterministic()
    return work.run(options, log)
