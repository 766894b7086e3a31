"""The condensed set as the engine hands it over, and the provenance that travels with it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import JobError
from core.export import eight_bit
from core.export.collages import Collages

CARD_FIELDS = ("created_by", "source", "config", "seeds", "engine", "compute", "evaluation")
NESTED_FIELDS = {
    "source": ("name", "sha256", "license"),
    "engine": ("version", "torch", "device"),
    "compute": ("flops", "flops_per_iteration"),
    "evaluation": ("protocol", "limits", "results"),
}
RESULT_FIELDS = ("images", "network", "accuracy_mean", "accuracy_std", "n")
DERIVED_FIELDS = ("classes", "images_per_class", "normalisation", "pixels_normalised", "collages")


@dataclass(frozen=True, kw_only=True)
class CondensedSet:
    """A synthetic set in normalised space, checked when it is built.

    Args:
        images_NCHW: float32, finite, C is 1, 3 or 4, normalised as (pixel in [0, 1] - mean) / std. Values
            may lie outside the range of real pixels: matching does not clamp.
        labels_N: int64 indices into `classes`.
        collages: what the images were decoded from; None if they are stored as they are.
        classes: names by index, each once. A class may have no image.
        mean, std: one value a channel, in units of pixels in [0, 1].
        card: JSON-serialisable provenance with the keys `created_by` ("condensery 0.1.0"), `source` ({name,
            sha256, license, …}, license None where it is not stated), `config` (resolved), `seeds`, `engine`
            ({version, torch, device, …}), `compute` ({flops, flops_per_iteration}, of the condensation, each
            None where it is not known) and `evaluation` ({protocol, limits, results: [{images, network,
            accuracy_mean, accuracy_std, n}]}, accuracies as fractions, accuracy_std None for n = 1, results
            empty if nothing was evaluated).
            It holds no time and no duration: equal runs give equal bytes.

    Raises:
        JobError: `invalid_condensed_set`, or `numerical` for values that are not finite.
    """

    images_NCHW: NDArray[np.float32]
    labels_N: NDArray[np.int64]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    card: Mapping[str, Any]
    collages: Collages | None = None

    def __post_init__(self) -> None:
        images, labels = self.images_NCHW, self.labels_N
        four_axes = images.ndim == 4 and images.shape[1] in (1, 3, 4) and 0 not in images.shape
        if images.dtype != np.float32 or not four_axes:
            raise _invalid(
                "images_NCHW must be float32 of shape (N, 1, 3 or 4, H, W) without an empty axis,"
                f" got {images.dtype} {images.shape}"
            )
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise _invalid(
                f"labels_N must be int64 of shape {images.shape[:1]}, got {labels.dtype} {labels.shape}"
            )
        if labels.min() < 0 or labels.max() >= len(self.classes):
            raise _invalid(
                f"labels_N must lie in 0..{len(self.classes) - 1} ({len(self.classes)} classes),"
                f" got {labels.min()}..{labels.max()}"
            )
        channels = images.shape[1]
        if len(self.mean) != channels or len(self.std) != channels:
            raise _invalid(
                f"mean and std need {channels} values, one a channel,"
                f" got {len(self.mean)} and {len(self.std)}"
            )
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std) <= 0:
            raise _invalid(f"mean and std must be finite and std above 0, got {self.mean} and {self.std}")
        if not np.isfinite(images).all():
            broken = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
            raise JobError(
                f"{len(broken)} of {len(images)} images hold values that are not finite,"
                f" first: image {broken[0]}.",
                code="numerical",
            )
        if self.collages is not None and (misfit := self.collages.misfit(images, labels)):
            raise _invalid(f"the images are not those of its collages: {misfit}")
        for index, name in enumerate(self.classes):
            # NumPy drops NULs at the end of a text, and no format stores half a surrogate pair.
            if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
                raise _invalid(f"the name of class {index} is not plain Unicode text: {name!r}")
        if len(set(self.classes)) != len(self.classes):
            first = next(name for name in self.classes if self.classes.count(name) > 1)
            raise _invalid(f"{self.classes.count(first)} classes have the name {first!r}")
        self._check_card()

    def _check_card(self) -> None:
        _require(self.card, CARD_FIELDS, "card")
        taken = [field for field in DERIVED_FIELDS if field in self.card]
        if taken:
            raise _invalid(f"card must not state {', '.join(taken)}: the writers derive it from the set")
        try:
            canonical_json(dict(self.card))
        except (TypeError, ValueError) as error:
            raise _invalid(f"card is not JSON: {error}") from error
        for field, keys in NESTED_FIELDS.items():
            _require(self.card[field], keys, f"card.{field}")
        for number, row in enumerate(self.card["evaluation"]["results"]):
            _require(row, RESULT_FIELDS, f"card.evaluation.results[{number}]")
            if not 0 <= row["accuracy_mean"] <= 1:
                raise _invalid(
                    f"card.evaluation.results[{number}].accuracy_mean must be a fraction in 0..1,"
                    f" got {row['accuracy_mean']}"
                )

    @property
    def images_per_class(self) -> tuple[int, ...]:
        return tuple(np.bincount(self.labels_N, minlength=len(self.classes)).tolist())

    def as_stored(self) -> "CondensedSet":
        """The set's own images, or the collages that they were decoded from."""
        if self.collages is None:
            return self
        stored = self.collages
        return replace(self, images_NCHW=stored.images_NCHW, labels_N=stored.labels_N, collages=None)

    def pixels_NCHW(self) -> NDArray[np.float32]:
        """x · std + mean, float32; real pixels lie in [0, 1], synthetic ones may not. Not clamped."""
        return eight_bit.pixels_NCHW(self.images_NCHW, self.mean, self.std)

    def pixels_uint8_NHWC(self) -> NDArray[np.uint8]:
        """Clamped to [0, 1] and rounded to the nearest of 256 levels: the lossy form of image files."""
        return eight_bit.levels_NHWC(self.images_NCHW, self.mean, self.std)

    def png(self, index: int) -> bytes:
        """An image as a PNG file of 8 bits: grey, RGB or RGBA."""
        (levels_HWC,) = eight_bit.levels_NHWC(self.images_NCHW[index : index + 1], self.mean, self.std)
        return eight_bit.png(levels_HWC)

    def clamped_fraction(self) -> float:
        """Part of the values outside [0, 1], which an 8-bit image cannot hold."""
        pixels = self.pixels_NCHW()
        return float(np.mean((pixels < 0) | (pixels > 1)))

    def provenance(self, *, pixels_normalised: bool) -> dict[str, Any]:
        """The card together with what the set itself says, as plain JSON types in sorted order."""
        derived: dict[str, Any] = {
            "classes": self.classes,
            "images_per_class": self.images_per_class,
            "normalisation": {"mean": self.mean, "std": self.std},
            "pixels_normalised": pixels_normalised,
        }
        if self.collages is not None:
            derived["collages"] = self.collages.provenance(len(self.classes))
        plain: dict[str, Any] = json.loads(canonical_json({**self.card, **derived}))
        return plain


def canonical_json(value: object, *, indent: int | None = None) -> str:
    """One text for one value: sorted keys, no NaN, any script as it is.

    Raises:
        TypeError, ValueError: the value has no JSON form.
    """
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, indent=indent)


def card_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The card as the set was built with it: `provenance` less what is derived."""
    return {field: value for field, value in provenance.items() if field not in DERIVED_FIELDS}


def _require(value: object, fields: tuple[str, ...], where: str) -> None:
    if not isinstance(value, Mapping):
        raise _invalid(f"{where} must be a mapping, got {type(value).__name__}")
    absent = [field for field in fields if field not in value]
    if absent:
        raise _invalid(f"{where} lacks {', '.join(absent)}")


def _invalid(detail: str) -> JobError:
    return JobError(f"The condensed set cannot be exported: {detail}.", code="invalid_condensed_set")
