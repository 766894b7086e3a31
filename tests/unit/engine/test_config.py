import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.engine import config as config_module
from core.engine.config import (
    AUGMENT_ALL,
    CondenseConfig,
    EvaluateConfig,
    NetworkConfig,
    default_lr,
    parse_augment,
)
from core.engine.networks import NETWORKS, NORMS, default_norm
from core.engine.networks.depth import default_depth
from core.engine.protocols.paper import PAPER


def test_config_is_importable_without_torch() -> None:
    tables = ("forms", "networks", "objectives", "protocols", "recipes", "sources")
    names = ", ".join(f"core.engine.{name}" for name in ("config", *tables))
    code = f"import sys, {names}; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    root = Path(config_module.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_learning_rate_follows_the_paper() -> None:
    assert [default_lr(ipc) for ipc in (1, 10, 50, 100, 200, 1250)] == [1, 1, 1, 10, 10, 10]
    assert 1 < default_lr(60) < default_lr(90) < 10
    assert CondenseConfig(ipc=100).resolved_lr == 10
    assert CondenseConfig(ipc=100, lr=0.5).resolved_lr == 0.5


def test_learning_rate_falls_linearly_over_the_last_share() -> None:
    def rates(lr_decay: float, iterations: int = 8) -> list[float]:
        config = CondenseConfig(ipc=1, iterations=iterations, lr=4.0, lr_decay=lr_decay)
        return [config.lr_at(iteration) for iteration in range(1, iterations + 1)]

    assert rates(0.0) == [4] * 8
    assert rates(0.5) == [4, 4, 4, 4, 4, 3, 2, 1]
    assert rates(1.0) == [4, 3.5, 3, 2.5, 2, 1.5, 1, 0.5]
    assert rates(0.3) == pytest.approx([4] * 6 + [4 * 2 / 2.4, 4 * 1 / 2.4])
    # A share of no whole iteration.
    assert rates(0.1) == rates(5e-324) == [4] * 8
    assert rates(1.0, iterations=1) == [4]
    assert CondenseConfig(ipc=100, lr_decay=0.5).lr_at(20_000) == pytest.approx(10 / 10_000)
    least = CondenseConfig(ipc=1, iterations=1_000_000, lr=1e-6, lr_decay=1.0)
    assert least.lr_at(1_000_000) == pytest.approx(1e-12)


@pytest.mark.parametrize(("size", "depth"), [(16, 2), (28, 3), (32, 3), (64, 4), (128, 5)])
def test_depth_follows_the_image_size(size: int, depth: int) -> None:
    assert default_depth(size, size) == depth
    assert default_depth(size, 3 * size) == depth


@pytest.mark.parametrize(
    ("kind", "field", "value", "limit"),
    [
        (CondenseConfig, "ipc", 0, "from 1 to"),
        (CondenseConfig, "ipc", 2.0, "whole number"),
        (CondenseConfig, "ipc", True, "whole number"),
        (CondenseConfig, "iterations", 10**9, "1000000"),
        (CondenseConfig, "batch_real", -1, "from 1 to"),
        (CondenseConfig, "lr", float("nan"), "number from"),
        (CondenseConfig, "lr", 0, "number from"),
        (CondenseConfig, "lr_decay", -0.01, "from 0 to 1"),
        (CondenseConfig, "lr_decay", 1.01, "from 0 to 1"),
        (CondenseConfig, "lr_decay", None, "number from"),
        (CondenseConfig, "momentum", 1.0, "0.999"),
        (CondenseConfig, "init", "zeros", "real, noise"),
        (CondenseConfig, "objective", "median", "mean"),
        (CondenseConfig, "source", "stale", "fresh"),
        (CondenseConfig, "form", "words", "pixels"),
        (CondenseConfig, "augment", "color_blur", "'blur'"),
        (CondenseConfig, "augment", "flip_flip", "twice"),
        (CondenseConfig, "augment", "", "not one of"),
        (CondenseConfig, "seed", 2**53, "9007199254740991"),
        (EvaluateConfig, "networks", 0, "from 1 to"),
        (EvaluateConfig, "epochs", "10", "whole number"),
        (EvaluateConfig, "augment", "none_flip", "'none'"),
        (NetworkConfig, "name", "resnet1", "convnet"),
        (NetworkConfig, "norm", "spectral", "instance"),
        (NetworkConfig, "activation", "gelu", "swish"),
        (NetworkConfig, "pooling", "sum", "avg"),
        (NetworkConfig, "width", 0, "from 1 to"),
        (NetworkConfig, "depth", 9, "from 1 to 8"),
    ],
)
def test_a_wrong_value_is_refused_with_field_and_limit(
    kind: type[Any], field: str, value: object, limit: str
) -> None:
    given = {"ipc": 1, field: value} if kind is CondenseConfig else {field: value}
    with pytest.raises(ValueError, match=rf"^{field}: ") as caught:
        kind(**given)
    assert limit in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("lr", float("inf")), ("momentum", 1.0), ("weight_decay", -0.1), ("batch", 0), ("batch", 2.5)],
)
def test_a_wrong_protocol_is_refused(field: str, value: float) -> None:
    protocol = dataclasses.replace(PAPER, **{field: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=rf"^{field}: "):
        EvaluateConfig(protocol=protocol)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "convnet"])
def test_what_a_network_does_not_have_is_refused(name: str) -> None:
    norm = default_norm(name)
    NetworkConfig(name=name, norm=norm)
    wrong: dict[str, Any] = {"width": 64, "depth": 3, "activation": "swish", "pooling": "max"}
    for field, value in wrong.items():
        with pytest.raises(ValueError, match=rf"^{field}: cannot be chosen for {name}, only for convnet"):
            NetworkConfig(name=name, norm=norm, **{field: value})


@pytest.mark.parametrize("name", NETWORKS)
def test_norms_by_network(name: str) -> None:
    for norm in NORMS:
        if norm in NETWORKS[name].norms:
            NetworkConfig(name=name, norm=norm)
        else:
            with pytest.raises(ValueError, match=rf"^norm: '{norm}' is not one of .*that {name} can have"):
                NetworkConfig(name=name, norm=norm)
    assert default_norm(name) == ("none" if name in ("mlp", "lenet") else "instance")


def test_group_norm_needs_a_width_of_whole_groups() -> None:
    NetworkConfig(norm="group", width=12)
    with pytest.raises(ValueError, match="width: 10 is not a multiple of 4"):
        NetworkConfig(norm="group", width=10)


def test_configs_are_frozen() -> None:
    config = CondenseConfig(ipc=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.ipc = 2  # type: ignore[misc]


def test_augment_strategies() -> None:
    assert parse_augment("none") == ()
    assert parse_augment("crop_flip") == ("crop", "flip")
    assert parse_augment(AUGMENT_ALL) == ("color", "crop", "cutout", "flip", "scale", "rotate")
