"""What a job may ask for, and what the engine is told."""

import dataclasses
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.data.advice import MIN_COLLAGE_SIZE
from core.engine.config import (
    ACTIVATIONS,
    AUGMENT_OPS,
    INTEGER_LIMITS,
    NUMBER_LIMITS,
    POOLINGS,
    CondenseConfig,
    EvaluateConfig,
    NetworkConfig,
)
from core.engine.forms import FORMS
from core.engine.networks import NETWORKS, NORMS, default_norm
from core.engine.objectives import OBJECTIVES
from core.engine.protocols import PROTOCOLS
from core.engine.recipes import RECIPES
from core.kinds.condense.spec import MAX_POINTS, CondenseSpec
from core.trials.methods import BASELINES
from core.trials.spec import NetworkSpec

INTEGERS: dict[str, tuple[str, ...]] = {
    "ipc": ("ipc",),
    "iterations": ("iterations",),
    "batch_real": ("batch_real",),
    "batch_synthetic": ("batch_synthetic",),
    "seed": ("seed",),
    "width": ("network", "width"),
    "depth": ("network", "depth"),
    "networks": ("evaluation", "networks"),
    "epochs": ("evaluation", "epochs"),
}


def whole(name: str) -> st.SearchStrategy[int]:
    low, high = INTEGER_LIMITS[name]
    return st.integers(low, high)


def number(name: str) -> st.SearchStrategy[float]:
    return st.floats(*NUMBER_LIMITS[name])


augmentations = st.one_of(
    st.just("none"), st.lists(st.sampled_from(AUGMENT_OPS), min_size=1, unique=True).map("_".join)
)
specs = st.fixed_dictionaries(
    {
        "recipe": st.sampled_from(sorted(RECIPES)),
        "ipc": whole("ipc"),
        "iterations": st.none() | whole("iterations"),
        "batch_real": st.none() | whole("batch_real"),
        "batch_synthetic": st.none() | whole("batch_synthetic"),
        "form": st.none() | st.sampled_from(sorted(FORMS)),
        "objective": st.none() | st.sampled_from(sorted(OBJECTIVES)),
        "lr": st.none() | number("lr"),
        "lr_decay": st.none() | number("lr_decay"),
        "momentum": st.none() | number("momentum"),
        "init": st.sampled_from(["real", "noise"]),
        "augment": augmentations,
        "seed": whole("seed"),
        "network": st.fixed_dictionaries(
            {
                "width": st.integers(1, 512).map(lambda n: 4 * n),
                "depth": st.none() | whole("depth"),
                "norm": st.sampled_from(NORMS),
                "activation": st.sampled_from(ACTIVATIONS),
                "pooling": st.sampled_from(POOLINGS),
            }
        ),
        "evaluation": st.fixed_dictionaries(
            {
                "networks": whole("networks"),
                "epochs": whole("epochs"),
                "protocol": st.none() | st.sampled_from(["auto", *PROTOCOLS]),
                "points": st.integers(0, MAX_POINTS),
                "whole_epochs": whole("epochs"),
                "baselines": st.lists(st.sampled_from(BASELINES), max_size=len(BASELINES), unique=True),
                "cross_architecture": st.lists(
                    st.fixed_dictionaries({"width": whole("width"), "depth": st.none() | whole("depth")}),
                    max_size=3,
                ),
            }
        ),
    }
)


def nested(path: tuple[str, ...], value: object) -> dict[str, Any]:
    spec: dict[str, Any] = {"ipc": 1}
    *outer, last = path
    for name in outer:
        spec[name] = {last: value}
    if not outer:
        spec[last] = value
    return spec


@given(asked=specs, size=st.integers(16, 256))
def test_every_field_survives_json_and_reaches_the_engine(asked: dict[str, Any], size: int) -> None:
    """The database keeps the spec as JSON; a worker reads it back and must compute the same."""
    spec = CondenseSpec.model_validate(asked).resolved(size, 50_000, 10)
    stored = json.loads(json.dumps(spec.model_dump(mode="json")))
    read = CondenseSpec.model_validate(stored)
    assert read == spec
    assert read.resolved(size, 50_000, 10) == spec, "resolving twice changes nothing"
    config, plan = read.condense_config(), read.trial_plan()
    evaluate = plan.config(read.network, 10)
    for name in ("ipc", "init", "augment", "seed"):
        assert getattr(config, name) == asked[name], name
    by_recipe = RECIPES[asked["recipe"]].settings(asked["ipc"])
    if size < MIN_COLLAGE_SIZE:
        by_recipe["form"] = "pixels"
    for name, filled_in in by_recipe.items():
        expected = filled_in if asked[name] is None else asked[name]
        assert stored[name] == getattr(config, name) == expected, name
    for name in ("width", "norm", "activation", "pooling"):
        assert getattr(config.network, name) == asked["network"][name], name
    assert evaluate.network == config.network
    assert (evaluate.seed, evaluate.augment) == (asked["seed"], asked["augment"])
    assert evaluate.networks == asked["evaluation"]["networks"]
    assert evaluate.epochs == asked["evaluation"]["epochs"]
    protocol = asked["evaluation"]["protocol"]
    for network in plan.networks:
        hungry = network.norm == "batch"
        expected = ("adamw" if hungry else "long") if protocol in (None, "auto") else protocol
        assert plan.protocol_of(network) == expected
        assert plan.config(network, 10).protocol is PROTOCOLS[expected]
    further = [plan.config(network, 10) for network in plan.networks[1:]]
    assert [one.network.width for one in further] == [
        network["width"] for network in asked["evaluation"]["cross_architecture"]
    ]
    for one in further:
        same = dataclasses.replace(one, network=evaluate.network, protocol=evaluate.protocol)
        assert same == evaluate
    assert plan.config(read.network, 50_000, whole=True) == dataclasses.replace(
        evaluate, epochs=asked["evaluation"]["whole_epochs"]
    )


def test_the_defaults_are_the_engines() -> None:
    spec = CondenseSpec(ipc=10)
    assert spec.recipe == "dm"
    assert spec.condense_config() == CondenseConfig(ipc=10, lr=1.0)
    plan = spec.resolved(32, 50_000, 10).trial_plan()
    (network,) = plan.networks
    steps = PROTOCOLS["long"].epochs_on(100)
    assert plan.config(network, 100) == EvaluateConfig(
        network=NetworkConfig(depth=3), protocol=PROTOCOLS["long"], epochs=steps
    )
    assert spec.network.config() == NetworkConfig()


@pytest.mark.parametrize(("size", "depth"), [(16, 2), (28, 3), (32, 3), (64, 4), (128, 5)])
def test_depth_is_resolved_from_the_image_size(size: int, depth: int) -> None:
    assert CondenseSpec(ipc=1).resolved(size, 50_000, 10).network.depth == depth
    chosen = CondenseSpec.model_validate({"ipc": 1, "network": {"depth": 1}})
    assert chosen.resolved(size, 50_000, 10).network.depth == 1


@pytest.mark.parametrize(("ipc", "lr"), [(1, 1.0), (50, 1.0), (100, 10.0), (1000, 10.0)])
def test_the_learning_rate_is_resolved_from_ipc(ipc: int, lr: float) -> None:
    assert CondenseSpec(ipc=ipc).resolved(32, 50_000, 10).lr == lr
    assert CondenseSpec(ipc=ipc, lr=0.5).resolved(32, 50_000, 10).lr == 0.5


def test_a_field_that_is_given_wins_over_the_recipe() -> None:
    fast = CondenseSpec(ipc=50, recipe="fast").resolved(32, 50_000, 10)
    # Zero is a choice, too.
    chosen = CondenseSpec(ipc=50, recipe="fast", lr_decay=0, momentum=0, iterations=7).resolved(
        32, 50_000, 10
    )
    assert chosen == fast.model_copy(update={"lr_decay": 0, "momentum": 0, "iterations": 7})
    config = chosen.condense_config()
    assert (config.iterations, config.lr, config.lr_at(7), config.momentum) == (7, fast.lr, fast.lr, 0)


def test_the_recipes_of_the_engine_may_be_asked_for() -> None:
    assert set(get_args(CondenseSpec.model_fields["recipe"].annotation)) == set(RECIPES)


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_refused_just_outside_their_limits(name: str) -> None:
    low, high = INTEGER_LIMITS[name]
    for inside in (low, high - high % 4 if name == "width" else high):
        CondenseSpec.model_validate(nested(INTEGERS[name], inside))
    for outside in (low - 1, high + 1, 1.5, "many", [1]):
        with pytest.raises(ValidationError) as caught:
            CondenseSpec.model_validate(nested(INTEGERS[name], outside))
        assert caught.value.errors()[0]["loc"] == INTEGERS[name]


@pytest.mark.parametrize("name", ["lr", "lr_decay", "momentum"])
def test_numbers_are_refused_just_outside_their_limits(name: str) -> None:
    low, high = NUMBER_LIMITS[name]
    for inside in (low, high):
        CondenseSpec.model_validate({"ipc": 1, name: inside})
    for outside in (low - 1e-7, high * 1.0001, float("nan"), float("inf")):
        with pytest.raises(ValidationError) as caught:
            CondenseSpec.model_validate({"ipc": 1, name: outside})
        assert caught.value.errors()[0]["loc"] == (name,)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"ipc": 1, "unknown": 1}, ("unknown",)),
        ({"ipc": 1, "network": {"unknown": 1}}, ("network", "unknown")),
        ({}, ("ipc",)),
        ({"ipc": 1, "recipe": "mtt"}, ("recipe",)),
        ({"ipc": 1, "augment": "flip_flip"}, ("augment",)),
        ({"ipc": 1, "augment": "sharpen"}, ("augment",)),
        ({"ipc": 1, "init": "zeros"}, ("init",)),
        ({"ipc": 1, "network": {"name": "resnet"}}, ("network", "name")),
        ({"ipc": 1, "network": {"norm": "group", "width": 6}}, ("network",)),
        ({"ipc": 1, "network": {"name": "vgg11", "norm": "none"}}, ("network",)),
        ({"ipc": 1, "network": {"name": "mlp", "norm": "batch"}}, ("network",)),
        ({"ipc": 1, "network": {"name": "resnet18", "width": 128}}, ("network",)),
        ({"ipc": 1, "network": {"name": "resnet18", "depth": 3}}, ("network",)),
        ({"ipc": 1, "network": {"name": "alexnet", "activation": "relu"}}, ("network",)),
        ({"ipc": 1, "network": {"name": "lenet", "pooling": "max"}}, ("network",)),
        ({"ipc": 1, "evaluation": {"baselines": ["best"]}}, ("evaluation", "baselines", 0)),
        (
            {"ipc": 1, "evaluation": {"cross_architecture": [{}, {"name": "resnet"}]}},
            ("evaluation", "cross_architecture", 1, "name"),
        ),
        ({"ipc": 1, "evaluation": {"cross_architecture": [{}] * 9}}, ("evaluation", "cross_architecture")),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(wrong: dict[str, Any], where: tuple[object, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        CondenseSpec.model_validate(wrong)
    assert [error["loc"] for error in caught.value.errors()] == [where]


def test_further_networks_are_resolved_and_named_like_the_jobs_own() -> None:
    asked = {"ipc": 1, "evaluation": {"cross_architecture": [{"norm": "batch"}, {"width": 8, "depth": 1}]}}
    resolved = CondenseSpec.model_validate(asked).resolved(64, 50_000, 10)
    assert [network.depth for network in resolved.evaluation.cross_architecture] == [4, 1]
    assert [network.label() for network in resolved.trial_plan().networks] == [
        "convnet-d4-w128-instance", "convnet-d4-w128-batch", "convnet-d1-w8-instance",
    ]  # fmt: skip


def test_the_network_has_a_name() -> None:
    assert CondenseSpec(ipc=1).resolved(32, 50_000, 10).network.label() == "convnet-d3-w128-instance"
    asked = CondenseSpec.model_validate({"ipc": 1, "network": {"name": "resnet18", "norm": "batch"}})
    assert asked.resolved(32, 50_000, 10).network.label() == "resnet18-batch"
    unusual = CondenseSpec(ipc=1, network={"pooling": "max", "activation": "swish"})
    assert unusual.resolved(32, 50_000, 10).network.label() == "convnet-d3-w128-instance-swish-max"


def test_every_network_of_the_engine_may_be_asked_for() -> None:
    for name, entry in NETWORKS.items():
        for norm in entry.norms:
            CondenseSpec.model_validate({"ipc": 1, "network": {"name": name, "norm": norm}})
    assert set(get_args(NetworkSpec.model_fields["name"].annotation)) == set(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_stored_spec_says_all_that_the_network_has_and_no_more(name: str) -> None:
    stored = CondenseSpec.model_validate({"ipc": 1, "network": {"name": name}}).resolved(32, 50_000, 10)
    own: dict[str, Any] = {"width": 128, "depth": 3, "activation": "relu", "pooling": "avg"}
    expected: dict[str, Any] = own if name == "convnet" else dict.fromkeys(own)
    assert stored.network.model_dump() == {"name": name, "norm": default_norm(name)} | expected
    assert stored.network.config() == NetworkConfig(
        name=name, norm=default_norm(name), depth=expected["depth"]
    )
