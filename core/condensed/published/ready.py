"""From what was found and stated to the arrays of a core.export.condensed.CondensedSet."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.condensed.published.found import Found
from core.condensed.published.limits import PublishedLimits
from core.condensed.published.pixel_checks import effective_space, statistics_of
from core.condensed.published.plausibility import check
from core.condensed.published.stated import Facts, Finding, Stated
from core.engine.forms.collage import GREY, decode
from core.errors import DataError
from core.export.collages import Collages

DECODED_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The fields of a CondensedSet less its card; test images are to be normalised by the same mean and std.

    Attributes:
        images_NCHW: float32, normalised by mean and std. Normalised pixels keep their bits.
        collages: what the images were decoded from, if they were.
        stored: images in the file, of all classes; N is f² times as many.
        notes: findings that neither refused nor asked.
    """

    images_NCHW: NDArray[np.float32]
    labels_N: NDArray[np.int64]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    collages: Collages | None
    stored: int
    notes: tuple[Finding, ...]


def to_arrays(found: Found, stated: Stated, facts: Facts, limits: PublishedLimits) -> Ready:
    """Normalise and decode what is stated and settled; `found` is left as it is.

    Raises:
        DataError: with the code of the first refusal, or `questions_open`; `findings` in its context holds
            all of them as dicts. `limit_exceeded` if the decoded set is too large.
    """
    findings = check(found, stated, facts)
    _raise_if_blocked(findings)
    mean, std = statistics_of(found, stated, facts)
    factor = stated.factor or found.factor or 1
    count, channels, height, width = found.images_NCHW.shape
    limits.check_images((count * factor * factor, channels, height, width), "the decoded set")

    images_NCHW, labels_N = found.images_NCHW, _hard(found, facts)
    if stated.class_order is not None:
        labels_N = np.asarray(stated.class_order, np.int64)[labels_N]
    space = effective_space(found, stated)
    shift, scale = np.asarray(mean, np.float32)[:, None, None], np.asarray(std, np.float32)[:, None, None]
    if space == "bytes":
        images_NCHW = images_NCHW / np.float32(255)
    if space != "normalised":
        images_NCHW = images_NCHW - shift
        images_NCHW /= scale
    collages = None
    if factor > 1:
        collages = Collages(images_NCHW=images_NCHW, labels_N=labels_N, factor=factor)
        grey_C = (GREY - shift.reshape(-1)) / scale.reshape(-1)
        images_NCHW, labels_N = _decoded(images_NCHW, factor, grey_C), np.tile(labels_N, factor**2)
    return Ready(
        images_NCHW=images_NCHW, labels_N=labels_N, classes=facts.classes, mean=mean, std=std,
        collages=collages, stored=count, notes=findings,
    )  # fmt: skip


def _decoded(
    images_NCHW: NDArray[np.float32], factor: int, grey_C: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Tile by tile over the set; some collages at a time, so that little more than the whole is held."""
    out = np.empty((factor**2, *images_NCHW.shape), np.float32)
    for first in range(0, len(images_NCHW), DECODED_AT_ONCE):
        part = torch.from_numpy(images_NCHW[first : first + DECODED_AT_ONCE])
        tiles = decode(part, factor, torch.from_numpy(grey_C)).view(factor**2, *part.shape)
        out[:, first : first + DECODED_AT_ONCE] = tiles.numpy()
    return out.reshape(-1, *images_NCHW.shape[1:])


def _hard(found: Found, facts: Facts) -> NDArray[np.int64]:
    """Whatever may not become hard labels was refused or asked about."""
    if found.labels is None:
        per_class = len(found.images_NCHW) // len(facts.classes)
        return np.repeat(np.arange(len(facts.classes), dtype=np.int64), per_class)
    if found.labels.ndim == 2:
        return np.asarray(found.labels.argmax(axis=1), np.int64)
    return np.array(found.labels, np.int64)


def _raise_if_blocked(findings: tuple[Finding, ...]) -> None:
    refused = [one for one in findings if one.severity == "refuse"]
    asked = [one for one in findings if one.severity == "ask"]
    if not refused and not asked:
        return
    blocking = refused or asked
    raise DataError(
        " ".join(one.detail for one in blocking),
        code=refused[0].code if refused else "questions_open",
        findings=[asdict(one) for one in findings],
    )
