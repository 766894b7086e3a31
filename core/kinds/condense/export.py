"""The phase `export`: write every artifact, then publish the condensed set."""

from typing import Any

import torch

from core.engine.config import CondenseConfig
from core.engine.estimate import flops_per_iteration
from core.engine.flops import flops_of_pool
from core.engine.images import LabelledImages
from core.engine.networks import forward_cost
from core.engine.state import CondenseState, decoded, stored
from core.errors import JobError
from core.export.artifacts import write_all
from core.export.collages import Collages
from core.export.condensed import CondensedSet
from core.failpoints import reach
from core.kinds.condense.result import small_classes
from core.kinds.condense.run import state_of
from core.kinds.condense.spec import CondenseSpec
from core.kinds.environments import stated
from core.kinds.work import Work
from core.trials.protocols import limits, protocol
from core.trials.results import FINAL, gains, summarise
from core.version import __version__


def run(work: Work) -> None:
    """Write the artifacts, and publish them with the result of the job."""
    spec: CondenseSpec = work.spec
    found = work.load(torch.device("cpu"))
    if found is None or found.step != spec.iterations:
        raise JobError(
            "the checkpoint of the finished images is missing in the storage", code="checkpoint_lost"
        )
    state, train, source = state_of(found), work.train, work.source
    config = spec.condense_config()
    counts = [len(indices) for indices in train.indices_by_class]
    condensation = {
        "micro_batch": state.micro_batch,
        "small_classes": small_classes(spec, list(zip(source.classes, counts, strict=True))),
    }
    images_NCHW, labels_N = decoded(state, train, config)
    condensed = CondensedSet(
        images_NCHW=images_NCHW.numpy(),
        labels_N=labels_N.numpy(),
        collages=_collages(state, train, config),
        classes=tuple(source.classes),
        mean=tuple(train.mean),
        std=tuple(train.std),
        card={**_card(work), "condensation": condensation},
    )
    with work.scratch() as folder:
        written = write_all(condensed, folder / "artifacts")
        work.stop_if_asked()
        reach("artifacts.written")
        own = spec.network.label()
        result = {
            "environment": stated(work.result),
            **gains(own, work.results(FINAL)),
            **condensation,
            "seconds": work.phase_seconds(),
            **work.speed(),
        }
        work.publish(folder / "artifacts", written, result, condensed)
    reach("artifacts.published")


def _collages(state: CondenseState, train: LabelledImages, config: CondenseConfig) -> Collages | None:
    if config.factor == 1:
        return None
    images_NCHW, labels_N = stored(state, train, config)
    return Collages(images_NCHW=images_NCHW.numpy(), labels_N=labels_N.numpy(), factor=config.factor)


def _card(work: Work) -> dict[str, Any]:
    """Provenance. Nothing in it differs between equal runs: no id, no time."""
    spec: CondenseSpec = work.spec
    source = work.source
    assert spec.iterations is not None, "the spec is not resolved"
    config = spec.condense_config()
    flops = flops_per_iteration(work.train, config)
    forward = forward_cost(config.matched_in, work.train.size, work.train.channels, work.train.num_classes)
    pool = {"pool_flops": flops_of_pool(config, forward, len(work.train))} if config.pool else {}
    networks = [one.label() for one in work.plan.networks]
    further = (
        []
        if spec.evaluation.cross_architecture
        else ["Evaluated on the network that it was condensed with: others may gain less."]
    )
    return {
        "created_by": f"condensery {__version__}",
        "source": {"name": source.name, "sha256": source.sha256, "license": source.license},
        "config": spec.model_dump(mode="json"),
        "seeds": {"seed": spec.seed},
        "engine": stated(work.result),
        "compute": {"flops": flops * spec.iterations, "flops_per_iteration": flops, **pool},
        "evaluation": {
            "protocol": protocol(work.plan, work.train.num_classes),
            "limits": [
                *limits(work.plan, len(work.test), source.split_rule, source.report.get("warnings", [])),
                *further,
            ],
            "results": [
                {
                    "images": one["method"],
                    "network": one["network"],
                    "accuracy_mean": one["mean"],
                    "accuracy_std": one["std"],
                    "n": one["n"],
                }
                for one in summarise(networks, work.results(FINAL))
            ],
        },
    }
