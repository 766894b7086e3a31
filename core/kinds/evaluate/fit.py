"""Whether a condensed set and a data set fit each other, and what their evaluation costs."""

from core.errors import InvalidRequest
from core.kinds.evaluate.spec import EvaluateSpec
from core.kinds.kind import Cost, DataFacts, Inputs
from core.trials.cost import flops_of_trials
from core.trials.spec import check_networks

FLOAT_BYTES = 4
_NAMED = 3


def fit(spec: EvaluateSpec, inputs: Inputs) -> EvaluateSpec:
    """The spec with everything filled in.

    Raises:
        InvalidRequest: the sets do not fit each other, or cannot give what is asked for.
    """
    data, condensed = inputs.data, inputs.condensed
    assert condensed is not None, "this kind takes a condensed set"
    if not data.test_images:
        raise InvalidRequest(
            "the data set has no test images to evaluate on: upload it with a test split, or with at least "
            "two images in a class",
            code="no_test_images",
            pointer="/dataset_id",
        )
    _same_shape(data, inputs)
    _same_classes(inputs)
    if spec.set_ipc not in (None, condensed["decoded"]):
        raise InvalidRequest(
            f"set_ipc is {spec.set_ipc}, but the condensed set has {condensed['decoded']} images per class: "
            "leave it out",
            code="set_ipc_differs",
            pointer="/set_ipc",
            limit=condensed["decoded"],
            value=spec.set_ipc,
        )
    resolved = spec.resolved(
        image_size=data.image_size,
        train_images=data.train_images,
        classes=data.classes,
        stored=condensed["stored"],
        decoded=condensed["decoded"],
    )
    plan = resolved.trial_plan()
    limit = data.train_images // data.classes
    if plan.ipc > limit and set(plan.baselines) - {"whole"}:
        raise InvalidRequest(
            f"ipc is {plan.ipc}, which baselines need of each class; the data set has {limit} on average: "
            "give a smaller ipc, or no baselines",
            code="ipc_too_large",
            pointer="/ipc",
            limit=limit,
            value=plan.ipc,
        )
    check_networks([(f"/architectures/{n}", one) for n, one in enumerate(plan.networks)], data.image_size)
    return resolved


def _same_shape(data: DataFacts, inputs: Inputs) -> None:
    assert inputs.condensed is not None
    for name, unit in (("image_size", "px"), ("channels", "channels")):
        wanted, given = getattr(data, name), inputs.condensed[name]
        if given != wanted:
            raise InvalidRequest(
                f"the condensed set has images of {given} {unit}, the data set of {wanted}: evaluate it on a "
                "data set of the same shape",
                code="shape_mismatch",
                pointer="/condensed_set_id",
                limit=wanted,
                value=given,
            )


def _same_classes(inputs: Inputs) -> None:
    assert inputs.condensed is not None
    ours, theirs = set(inputs.class_names), set(inputs.condensed["classes"] or ())
    if ours == theirs:
        return
    missing, extra = sorted(ours - theirs), sorted(theirs - ours)
    parts = [
        f"{what}: {', '.join(map(repr, names[:_NAMED]))}{' …' if len(names) > _NAMED else ''}"
        for what, names in (("only in the data set", missing), ("only in the condensed set", extra))
        if names
    ]
    raise InvalidRequest(
        f"the classes differ ({'; '.join(parts)}): both must have classes of the same names, in any order",
        code="classes_differ",
        pointer="/condensed_set_id",
        missing=missing[:_NAMED],
        extra=extra[:_NAMED],
    )


def cost(spec: EvaluateSpec, data: DataFacts) -> Cost:
    """Cost of a resolved spec. The memory is that of the set alone."""
    plan = spec.trial_plan()
    pixels = data.classes * plan.ipc * data.channels * data.image_size**2
    return Cost(
        flops_by_phase={"evaluate": flops_of_trials(plan, **data.sizes)},
        flops_per_iteration=0,
        memory_bytes=FLOAT_BYTES * pixels,
    )


def label(spec: EvaluateSpec) -> str:
    """What a job is called that has no name."""
    names = ", ".join(dict.fromkeys(one.name for one in spec.architectures))
    return f"on {names}"
