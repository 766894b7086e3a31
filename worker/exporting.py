"""The phase `export`: write every artifact, then publish the job in one guarded update."""

import statistics
from typing import Any

import torch

from core.data.canonical import CanonicalSet, Manifest
from core.db.models import Artifact, Dataset, Evaluation, Job
from core.engine.config import parse_augment
from core.engine.estimate import flops_per_iteration
from core.engine.images import LabelledImages
from core.engine.state import synthetic_labels
from core.errors import JobError
from core.export.artifacts import write_all
from core.export.condensed import CondensedSet
from core.failpoints import reach
from core.ids import new_id
from core.jobs.durations import seconds_by_phase
from core.jobs.files import attempt_prefix, keep_only_published
from core.jobs.results import evaluations_of, small_classes, summarise
from core.jobs.spec import JobSpec
from core.jobs.speed import measured_speed
from core.jobs.transitions import held_by, move, require
from core.version import __version__
from worker import checkpoints
from worker.attempt import Attempt
from worker.environments import stated


def run(attempt: Attempt, job: Job, dataset: Dataset, canonical: CanonicalSet, train: LabelledImages) -> None:
    """Write the artifacts, and publish them with the result of the job."""
    spec = JobSpec.model_validate(job.spec)
    state = checkpoints.load_newest(attempt, job, torch.device("cpu"))
    if state is None or state.iteration != spec.iterations:
        raise JobError("the finished images are gone from the storage", code="checkpoint_lost")
    with attempt.database.reading() as session:
        evaluations = evaluations_of(session, job)
    environment = stated(job.result)
    manifest = canonical.manifest
    counts = [len(indices) for indices in train.indices_by_class]
    condensation = {
        "micro_batch": state.micro_batch,
        "small_classes": small_classes(spec, list(zip(manifest.classes, counts, strict=True))),
    }
    card = _card(job, dataset, spec, manifest, train, environment, evaluations)
    condensed = CondensedSet(
        images_NCHW=state.images_NCHW.numpy(),
        labels_N=synthetic_labels(train, spec.ipc).numpy(),
        classes=tuple(manifest.classes),
        mean=tuple(manifest.mean),
        std=tuple(manifest.std),
        card={**card, "condensation": condensation},
    )
    prefix = f"{attempt_prefix(job.id, attempt.lease.fence)}/artifacts"
    with attempt.storage.scratch() as folder:
        out = folder / "artifacts"
        written = write_all(condensed, out)
        attempt.stop_if_told()
        reach("artifacts.written")
        attempt.storage.put(prefix, out)
    reach("artifacts.stored")
    with attempt.database.reading() as session:
        seconds = seconds_by_phase(session, job)
        speed = measured_speed(session, job)
    with attempt.writing() as session:
        published = move(
            session, Job, job.id, "succeeded", *held_by(Job, attempt.lease.fence),
            data={"artifacts": len(written)},
            result={
                **_result(environment, spec, evaluations),
                **condensation,
                "seconds": seconds,
                **speed,
            },
        )  # fmt: skip
        require(published, job.id, attempt.lease.fence)
        session.add_all(
            Artifact(
                id=new_id("art"),
                job_id=job.id,
                owner=job.owner,
                fence=attempt.lease.fence,
                format=one.format,
                file_name=one.file_name,
                media_type=one.media_type,
                size=one.size,
                sha256=one.sha256,
                blob_key=f"{prefix}/{one.path.name}",
            )
            for one in written
        )
        session.flush()
        keep_only_published(session, attempt.storage, job.id)
    reach("artifacts.published")


def _card(
    job: Job,
    dataset: Dataset,
    spec: JobSpec,
    manifest: Manifest,
    train: LabelledImages,
    environment: dict[str, Any],
    evaluations: list[Evaluation],
) -> dict[str, Any]:
    """Provenance. Nothing in it differs between equal runs: no id, no time."""
    assert spec.iterations is not None, "the spec is not resolved"
    flops = flops_per_iteration(train, spec.condense_config())
    return {
        "created_by": f"condensery {__version__}",
        "source": {"name": dataset.name, "sha256": job.data_hash, "license": dataset.license},
        "config": spec.model_dump(mode="json"),
        "seeds": {"seed": spec.seed},
        "engine": environment,
        "compute": {"flops": flops * spec.iterations, "flops_per_iteration": flops},
        "evaluation": {
            "protocol": _protocol(spec),
            "limits": _limits(spec, manifest),
            "results": [
                {
                    "images": one["method"],
                    "network": one["network"],
                    "accuracy_mean": one["mean"],
                    "accuracy_std": one["std"],
                    "n": one["n"],
                }
                for one in summarise(spec, evaluations)
            ],
        },
    }


def _protocol(spec: JobSpec) -> str:
    """How the accuracies came about, from what the networks were really trained with."""
    config, baselines = spec.evaluate_config(), spec.evaluation.baselines
    whole_epochs = f"{spec.evaluation.whole_epochs:,} epochs"
    ops = parse_augment(config.augment)
    augment = f"DSA ({', '.join(ops)}) on every batch" if ops else "no augmentation"
    said = [
        f"Networks trained from scratch for {config.epochs:,} epochs by SGD (lr {config.lr:g}, from epoch "
        f"{config.epochs // 2 + 1:,} on a tenth of it; momentum {config.momentum:g}, weight decay "
        f"{config.weight_decay:g}), batch {config.batch}, {augment}, in float32; tested once on the test "
        "split, after the last epoch.",
        "png is trained on the 8-bit pixels of the PNG files, normalised as the others are.",
    ]
    if "random" in baselines:
        said.append("random is one draw for all networks: its deviation says nothing of other draws.")
    if {"herding", "k-center"} & set(baselines):
        said.append(
            f"herding and k-center chose images by the features of one {spec.network_name()}, trained on the "
            f"whole training split for {whole_epochs}."
        )
    if "whole" in baselines:
        said.append(f"whole is trained for {whole_epochs}, on the job's own network alone.")
    return " ".join(said)


#: What the report of a data set warns of that a reader of accuracies has to know.
GRAVE = ("test_leakage", "conflicting_labels", "untested_classes", "imbalanced", "small_classes")


def _limits(spec: JobSpec, manifest: Manifest) -> list[str]:
    networks, tested = spec.evaluation.networks, manifest.splits["test"].count
    limits = [
        f"Networks a method: {networks}. Test images: {tested:,} ({manifest.split_rule}).",
        *(w["detail"] + "." for w in manifest.report.get("warnings", []) if w["code"] in GRAVE),
    ]
    if not spec.evaluation.cross_architecture:
        limits.append("Evaluated on the network that it was condensed with: others may gain less.")
    return limits


def _result(environment: dict[str, Any], spec: JobSpec, evaluations: list[Evaluation]) -> dict[str, Any]:
    """HLR and IOR are DD-Ranking's terms, in fractions: acc(whole) - acc(set), acc(set) - acc(random).

    On the network that the set was condensed with.
    """
    groups: dict[str, list[float]] = {}
    for one in evaluations:
        if one.network == spec.network_name():
            groups.setdefault(one.method, []).append(one.accuracy)
    mean = {method: statistics.fmean(values) for method, values in groups.items()}
    return {
        "environment": environment,
        "hlr": mean["whole"] - mean["condensed"] if "whole" in mean else None,
        "ior": mean["condensed"] - mean["random"] if "random" in mean else None,
    }
