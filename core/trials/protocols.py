"""How trials' accuracies came about, in words: for whoever reads them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.engine.config import EvaluateConfig, parse_augment
from core.trials.methods import METHODS
from core.trials.spec import TrialPlan

#: What the report of a data set warns of that a reader of accuracies has to know.
GRAVE: Final = ("test_leakage", "conflicting_labels", "untested_classes", "imbalanced", "small_classes")


def protocol(plan: TrialPlan, classes: int) -> str:
    """From what the networks are really trained with."""
    own, whole_epochs = plan.networks[0], f"{plan.whole_epochs:,} epochs"
    sentences = [
        "Networks are trained from scratch, in float32, and tested once on the test split, after the last "
        "epoch.",
        *(_on_the_set(plan, name, classes) for name in dict.fromkeys(map(plan.protocol_of, plan.networks))),
        "png is trained on the 8-bit pixels of the PNG files, normalised as the others are.",
    ]
    if plan.set_ipc != plan.ipc:
        sentences.append(
            f"A class's {plan.ipc:,} stored images are trained on as {plan.set_ipc:,}; of real images there "
            f"are {plan.ipc:,} a class."
        )
    if "random-collage" in plan.baselines:
        sentences.append(
            f"random-collage is {plan.ipc:,} collages a class of {plan.factor} × {plan.factor} random real "
            f"images, trained on as {plan.trained_per_class('random-collage'):,}."
        )
    if "random" in plan.baselines:
        sentences.append("random is one draw for all networks: its deviation says nothing of other draws.")
    if any(METHODS[one].by_features for one in plan.baselines):
        sentences.append(
            f"herding and k-center chose images by the features of one {own.label()}, trained on the "
            f"whole training split for {whole_epochs}."
        )
    if "whole" in plan.baselines:
        sentences.append(f"whole is trained for {whole_epochs}, on the job's own network alone.")
    return " ".join(sentences)


def _on_the_set(plan: TrialPlan, name: str, classes: int) -> str:
    """One protocol, as it trains on the set."""
    images = plan.set_ipc * classes
    network = next(one for one in plan.networks if plan.protocol_of(one) == name)
    config = plan.config(network, images)
    steps = config.protocol.steps_an_epoch(images) * config.epochs
    return (
        f"Protocol {name}, on the set: {config.epochs:,} epochs, {steps:,} steps, by "
        f"{config.protocol.described(config.epochs)}; {_augmented(config)}."
    )


def _augmented(config: EvaluateConfig) -> str:
    composed, ops = config.protocol.composed, parse_augment(config.augment)
    if composed is not None:
        ops = tuple(op for op in composed if op in ops)
    if not ops:
        return "no augmentation"
    how = f"one of DSA's operations ({', '.join(ops)})"
    return f"each batch augmented by {how if composed is None else 'all of ' + ', '.join(ops)}"


def limits(plan: TrialPlan, tested: int, split_rule: str, warnings: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader of the accuracies has to know of the data.

    Args:
        tested: images of the test split, which `split_rule` says how it came about.
        warnings: of the data set's report.
    """
    return [
        f"Networks a method: {plan.repeats}. Test images: {tested:,} ({split_rule}).",
        *(w["detail"] + "." for w in warnings if w["code"] in GRAVE),
    ]
