"""Whether a data set can give what a condensation asks for."""

from core.errors import InvalidRequest
from core.kinds.condense.spec import CondenseSpec
from core.kinds.kind import Inputs
from core.trials.spec import check_networks


def fit(spec: CondenseSpec, inputs: Inputs) -> CondenseSpec:
    """The spec with everything filled in.

    Raises:
        InvalidRequest: the data set cannot give what it asks for.
    """
    data = inputs.data
    if not data.test_images:
        raise InvalidRequest(
            "the data set has no test images to evaluate on: upload it with a test split, or with at least "
            "two images in a class",
            code="no_test_images",
            pointer="/dataset_id",
        )
    limit = min(inputs.max_ipc, data.train_images // data.classes)
    if spec.ipc > limit:
        raise InvalidRequest(
            f"ipc is {spec.ipc}; the limit for this data set is {limit}: it has {data.train_images} training "
            f"images in {data.classes} classes, and the server allows {inputs.max_ipc} per class",
            code="ipc_too_large",
            pointer="/ipc",
            limit=limit,
            value=spec.ipc,
        )
    resolved = spec.resolved(data.image_size, data.train_images, data.classes, data.lost)
    further = enumerate(resolved.evaluation.cross_architecture)
    check_networks(
        [
            ("/network", resolved.network),
            *((f"/evaluation/cross_architecture/{n}", network) for n, network in further),
        ],
        data.image_size,
    )
    return resolved


def label(spec: CondenseSpec) -> str:
    """What a job is called that has no name."""
    return f"{spec.ipc} per class, {spec.recipe}"
