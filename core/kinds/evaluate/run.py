"""What is evaluated, and the results card that comes of it."""

import numpy as np
import torch
from torch import Tensor

from core.export.results import write_results
from core.failpoints import reach
from core.kinds.environments import stated
from core.kinds.evaluate.spec import EvaluateSpec
from core.kinds.work import Given, Work
from core.trials.protocols import limits, protocol
from core.trials.results import FINAL, gains, summarise
from core.version import __version__


def images(given: Given) -> tuple[Tensor, Tensor]:
    """The condensed images NCHW, float32 on the device, normalised as the data set is, and their labels,
    int64, in the data set's order of classes.

    A set that is normalised so already, and so ordered, keeps its bits.
    """
    condensed, real = given.condensed, given.train
    images_NCHW = torch.from_numpy(condensed.images_NCHW)
    if _other_normalisation(given):
        mean, std = (_by_channel(values) for values in (condensed.mean, condensed.std))
        images_NCHW = (images_NCHW * std + mean - _by_channel(real.mean)) / _by_channel(real.std)
    places = {name: label for label, name in enumerate(given.source.classes)}
    order = np.array([places[name] for name in condensed.classes], dtype=np.int64)
    labels_N = torch.from_numpy(order[condensed.labels_N])
    return images_NCHW.to(given.device), labels_N


def export(work: Work) -> None:
    """Write the results card, and publish it."""
    spec: EvaluateSpec = work.spec
    plan, source, condensed = work.plan, work.source, work.condensed
    trials = work.results(FINAL)
    networks = [one.label() for one in plan.networks]
    found = gains(networks[0], trials)
    card = {
        "created_by": f"condensery {__version__}",
        "condensed_set": {
            "source": condensed.card["source"],
            "images": len(condensed.images_NCHW),
            "classes": list(condensed.classes),
        },
        "source": {"name": source.name, "sha256": source.sha256, "license": source.license},
        "config": spec.model_dump(mode="json"),
        "engine": stated(work.result),
        "protocol": protocol(plan, work.train.num_classes),
        "limits": limits(plan, len(work.test), source.split_rule, source.report.get("warnings", [])),
        # Without times: equal runs give equal files.
        "results": [
            {name: value for name, value in one.items() if name != "seconds"}
            for one in summarise(networks, trials)
        ],
        **found,
        "renormalised": _other_normalisation(work),
    }
    lines = [
        {
            "method": one.method,
            "network": one.network,
            "protocol": one.protocol,
            "repeat": one.repeat,
            "accuracy": one.accuracy,
            "epochs": one.epochs,
            "train_images": one.train_images,
        }
        for one in trials
    ]
    with work.scratch() as folder:
        written = write_results(card, lines, folder / "artifacts")
        work.stop_if_asked()
        reach("artifacts.written")
        result = {
            "environment": stated(work.result),
            **found,
            "renormalised": card["renormalised"],
            "seconds": work.phase_seconds(),
        }
        work.publish(folder / "artifacts", written, result)
    reach("artifacts.published")


def _other_normalisation(given: Given) -> bool:
    condensed, real = given.condensed, given.train
    return (condensed.mean, condensed.std) != (tuple(real.mean), tuple(real.std))


def _by_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)
