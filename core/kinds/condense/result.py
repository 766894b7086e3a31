"""What a condensation has found, beside its trials."""

from typing import Any

from pydantic import BaseModel, Field

from core.kinds.condense.spec import CondenseSpec

NAMED_CLASSES = 20
"""Small classes that a result names; of more it says how many there are."""


class SmallClass(BaseModel):
    name: str
    images: int = Field(description="In the training split.")


class SmallClasses(BaseModel):
    limit: int
    count: int = Field(description="Classes with fewer training images than the limit, but with some.")
    first: list[SmallClass] = Field(description=f"The first {NAMED_CLASSES} of them.")


class SmallByLimit(BaseModel):
    batch_real: SmallClasses = Field(description="Their real batches repeat images.")
    ipc: SmallClasses = Field(
        description="Their images are repeated in the baselines' selections, and in the initial images if "
        "these are real ones."
    )


class CondenseResult(BaseModel):
    """Before the export, the environment alone."""

    environment: dict[str, Any]
    hlr: float | None = Field(None, description="Accuracy of whole minus condensed, as a fraction.")
    ior: float | None = Field(None, description="Accuracy of condensed minus random, as a fraction.")
    micro_batch: int | None = Field(
        None, description="Images embedded at once after memory ran out; null if it never did."
    )
    small_classes: SmallByLimit | None = Field(None, description="Null in results of older versions.")
    seconds: dict[str, float] | None = Field(
        None,
        description="Wall-clock time that workers spent in each phase, over all attempts: what a resumed one "
        "did again counts again, waiting in a queue does not. Null in results of older versions.",
    )
    flops_per_iteration: int | None = Field(
        None, description="Of the dry run; a multiplication and an addition count as two."
    )
    flops_per_second: float | None = Field(None, description="Of the dry run.")


def small_classes(spec: CondenseSpec, images_by_class: list[tuple[str, int]]) -> dict[str, dict[str, Any]]:
    """Which classes have fewer images than `batch_real`, and than `ipc`.

    The first ones' real batches repeat images; so do the second ones' initial images, and the baselines'
    selections. Each image is there equally often, up to one.

    Args:
        images_by_class: name and images in the training split. A class without any takes no part.
    """

    def smaller_than(limit: int) -> dict[str, Any]:
        small = [{"name": name, "images": n} for name, n in images_by_class if 0 < n < limit]
        return {"limit": limit, "count": len(small), "first": small[:NAMED_CLASSES]}

    return {"batch_real": smaller_than(spec.condense_config().batch_real), "ipc": smaller_than(spec.ipc)}
