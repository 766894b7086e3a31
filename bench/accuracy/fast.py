"""The recipe `fast`, from core.engine.recipes.

STOP-GAP until that module is there: --fast-* on the command line say what it would.
"""

import argparse
import dataclasses
import importlib
from typing import Any

from core.engine.config import CondenseConfig, NetworkConfig

try:
    RECIPES = importlib.import_module("core.engine.recipes").RECIPES
except ModuleNotFoundError:
    RECIPES = {}


def fast_config(ipc: int, network: NetworkConfig, options: argparse.Namespace) -> CondenseConfig:
    """The recipe's configuration; what the command line names goes before it.

    Raises:
        ValueError: neither the recipe nor the command line says.
    """
    chosen: dict[str, Any] = {}
    if "fast" in RECIPES:
        recipe = RECIPES["fast"]
        chosen = {
            name: getattr(recipe, name) for name in ("iterations", "batch_real", "momentum", "lr_decay")
        }
        chosen["lr"] = recipe.lr(ipc)
    for name in ("iterations", "batch_real", "lr", "momentum", "lr_decay"):
        given = options.iterations_fast if name == "iterations" else getattr(options, f"fast_{name}")
        if given is not None:
            chosen[name] = given
    if not {"iterations", "batch_real", "lr"} <= chosen.keys():
        raise ValueError(
            "fast: this engine has no such recipe; give --iterations-fast, --fast-batch-real, --fast-lr"
        )
    if "lr_decay" in chosen and "lr_decay" not in {
        field.name for field in dataclasses.fields(CondenseConfig)
    }:
        raise ValueError("fast: this engine has no lr_decay")
    return CondenseConfig(ipc=ipc, network=network, seed=options.seed, **chosen)
