"""Settings, networks and machines as cells of a table say them."""

from collections.abc import Iterable, Sequence
from typing import Any

from bench.accuracy.ledger import Record
from bench.accuracy.plan import training_settings
from core.engine.config import CondenseConfig, EvaluateConfig, NetworkConfig


def set_settings(about: dict[str, Any]) -> str:
    if "condense" in about:
        default, network = CondenseConfig(ipc=1), about["condense"]["network"]
        named = ("iterations", "batch_real", "lr", "momentum")
        text = ", ".join(f"{name} {number(about['condense'][name])}" for name in named)
        for name, value in about["condense"].items():
            if name not in (*named, "ipc", "network", "seed") and value != getattr(default, name, None):
                text += f", {name} {pool_text(value) if name == 'pool' else number(value)}"
        return f"{text}, {network_text(network)}, seed {about['condense']['seed']}"
    if "features" in about:
        return f"features: {training_text(about['features'])}, {network_text(about['features']['network'])}"
    return f"seed {about['seed']}" if "seed" in about else "–"


def pool_text(pool: dict[str, Any]) -> str:
    width = f" of width {pool['width']:,}" if pool.get("width") else ""
    return f"of {pool['networks']:,}{width} × {pool['epochs']:,} epochs"


def training_text(training: dict[str, Any]) -> str:
    default = training_settings(EvaluateConfig())
    text = f"{training['protocol']}, {training['epochs']:,} epochs"
    for name, value in training.items():
        if name not in ("epochs", "network", "protocol", "seed") and value != default.get(name):
            text += f", {name} {number(value)}"
    network = training["network"]
    width = f", width {network['width']}" if network["name"] == "convnet" else ""
    return f"{text}{width}, seed {training['seed']}"


def network_text(network: dict[str, Any]) -> str:
    default = NetworkConfig()
    if network["name"] != "convnet":
        return f"{network['name']} ({network['norm']} norm)"
    changed = [
        f", {name} {value}"
        for name, value in network.items()
        if name not in ("name", "width") and value != getattr(default, name)
    ]
    return f"ConvNet of width {network['width']}" + "".join(changed)


def number(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class Machines:
    """Letters for the environments that results were found in."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def of(self, records: Sequence[Record]) -> str:
        for record in records:
            text = self._describe(record["environment"])
            self._letters.setdefault(text, chr(ord("A") + len(self._letters)))
        return " ".join(sorted({self._letters[self._describe(record["environment"])] for record in records}))

    def legend(self) -> str:
        return "\n".join(f"- {letter}: {text}" for text, letter in self._letters.items())

    @staticmethod
    def _describe(environment: dict[str, Any]) -> str:
        mode = "deterministic" if environment["deterministic"] else "not deterministic"
        return (
            f"{environment['device']} ({environment['device_name']}), CPU {environment['cpu']}, "
            f"{environment['threads']} threads, torch {environment['torch']}, "
            f"Python {environment['python']}, condensery {environment['version']}, {mode}"
        )
