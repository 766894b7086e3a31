"""How trials' accuracies came about, in words: for whoever reads them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.engine.config import parse_augment
from core.trials.methods import METHODS
from core.trials.spec import TrialPlan

#: What the report of a data set warns of that a reader of accuracies has to know.
GRAVE: Final = ("test_leakage", "conflicting_labels", "untested_classes", "imbalanced", "small_classes")


def protocol(plan: TrialPlan) -> str:
    """From what the networks are really trained with."""
    own = plan.networks[0]
    config, whole_epochs = plan.config(own), f"{plan.whole_epochs:,} epochs"
    ops = parse_augment(config.augment)
    augment = f"DSA ({', '.join(ops)}) on every batch" if ops else "no augmentation"
    sentences = [
        f"Networks trained from scratch for {config.epochs:,} epochs by "
        f"{config.protocol.described(config.epochs)}, {augment}, in float32; tested once on the test split, "
        "after the last epoch.",
        "png is trained on the 8-bit pixels of the PNG files, normalised as the others are.",
    ]
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
