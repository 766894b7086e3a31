"""Which layout the content of a torch file has, and the set in it. Values are never printed, only types."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.condensed.published.arrays import factor_of
from core.condensed.published.found import Found, channels_last, found
from core.condensed.published.layouts import (
    ARRAYS,
    FLAT,
    LIST,
    OWN,
    PAIR,
    RES,
    SOFT_BATCHES,
    STEPS,
    TENSOR,
    Layout,
)
from core.condensed.published.limits import PublishedLimits
from core.errors import DataError
from core.export.condensed import card_of

OWN_KEYS = ("mean", "std", "classes", "card")
READ_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8)


def set_of(content: object, limits: PublishedLimits, experiment: int | None) -> Found:
    """The set in the content of one file.

    Raises:
        DataError: `unknown_layout`, `layout_not_read`, `no_such_experiment`, `labels_alone`,
            `unsupported_tensor`, or as `found` and the limits do.
    """
    match content:
        case torch.Tensor():
            return _tensor_alone(content, limits)
        case dict() if isinstance(content.get("data"), list | tuple):
            return _of_dict(content, content["data"], limits, experiment)
        case list() | tuple() if content:
            return _of_sequence(content, limits)
    raise _unknown(content)


def pair_of(images: object, labels: object, limits: PublishedLimits, extra: Mapping[str, object]) -> Found:
    """The set in two files; `extra` are further files of one tensor, by name: learning rates."""
    if not isinstance(images, torch.Tensor) or not isinstance(labels, torch.Tensor):
        raise _unknown(images if not isinstance(images, torch.Tensor) else labels)
    notes = []
    for name, value in extra.items():
        if isinstance(value, torch.Tensor) and value.numel() == 1:
            notes.append(
                f"{name} states a learning rate of {float(value.detach()):g}; the evaluation does not use it"
            )
    return _found(PAIR, images, labels, limits, notes=notes, dropped=tuple(extra))


def _of_dict(
    content: Mapping[Any, Any], data: Sequence[Any], limits: PublishedLimits, experiment: int | None
) -> Found:
    dropped = tuple(str(key)[:100] for key in list(content)[:100] if key != "data")
    if _are_tensors(data, 2):
        return _found(FLAT, data[0], data[1], limits, dropped=dropped)
    if not data:
        raise _unknown(content)
    number = len(data) - 1 if experiment is None else experiment
    if not 0 <= number < len(data):
        raise DataError(
            f"experiment is {number}; the file holds {len(data)}, from 0 to {len(data) - 1}",
            code="no_such_experiment",
        )
    pair = data[number]
    if isinstance(pair, list | tuple) and len(pair) == 1:  # FreD has one level more
        pair = pair[0]
    if not isinstance(pair, list | tuple) or not _are_tensors(pair, 2):
        raise _unknown(content)
    if all(key in content for key in OWN_KEYS):
        return _own(content, pair, limits)
    return _found(RES, pair[0], pair[1], limits, dropped=dropped, experiments=len(data), experiment=number)


def _own(content: Mapping[Any, Any], pair: Sequence[torch.Tensor], limits: PublishedLimits) -> Found:
    factor = factor_of(content["card"])
    if factor is not None:
        pair = content["stored"]
        if not _are_tensors(pair, 2):
            raise TypeError("no stored images")
    return _found(
        OWN, pair[0], pair[1], limits, classes=tuple(map(str, content["classes"])),
        mean=tuple(map(float, content["mean"])), std=tuple(map(float, content["std"])),
        card=card_of(content["card"]), factor=factor,
    )  # fmt: skip


def _of_sequence(content: Sequence[Any], limits: PublishedLimits) -> Found:
    first = content[0]
    if isinstance(first, torch.Tensor) and first.ndim == 4:
        if tuple(first.shape)[1] not in (1, 3, 4) and channels_last(tuple(first.shape), ARRAYS.name):
            dropped = tuple(f"element {n}" for n in range(1, len(content)))
            return _found(ARRAYS, first, None, limits, channels_last=True, dropped=dropped)
        if len(content) >= 2 and isinstance(content[1], torch.Tensor) and len(content) < 6:
            dropped = tuple(f"element {n}" for n in range(2, len(content)))
            return _found(LIST, first, content[1], limits, dropped=dropped)
    if isinstance(first, list | tuple) and len(first) == 3 and _are_tensors(first, 2):
        raise _not_read(STEPS)
    if len(content) in (6, 7, 8):
        raise _not_read(SOFT_BATCHES)
    raise _unknown(content)


def _tensor_alone(content: torch.Tensor, limits: PublishedLimits) -> Found:
    if content.ndim != 4:
        raise DataError(
            f"the file holds one tensor of shape {tuple(content.shape)[:8]}: labels or a learning rate"
            " without"
            " images. Put images and labels in one zip, as images_best.pt and labels_best.pt",
            code="labels_alone",
        )
    return _found(TENSOR, content, None, limits)


def _found(
    layout: Layout, images: torch.Tensor, labels: torch.Tensor | None, limits: PublishedLimits, **stated: Any
) -> Found:
    notes = list(stated.pop("notes", ()))
    limits.check_images(tuple(images.shape), "the images")
    hidden = images.untyped_storage().nbytes() - images.numel() * images.element_size()
    if hidden > 0:
        notes.append(
            f"the file carries {hidden:,} bytes beside the images in the same tensor: perhaps other images"
        )
    scores = None
    if labels is not None:
        limits.check_images(tuple(labels.shape), "the labels")
        scores = _array(labels, "labels")
    return found(layout, _array(images, "images"), scores, notes=notes, **stated)


def _array(tensor: torch.Tensor, what: str) -> NDArray[Any]:
    """A view; `found` copies."""
    whole = not tensor.dtype.is_floating_point and not tensor.dtype.is_complex
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not plain or (tensor.dtype not in READ_DTYPES and not (whole and what == "labels")):
        raise DataError(
            f"the {what} are a tensor of {tensor.dtype}, {tensor.layout}, on {tensor.device.type}; dense"
            " tensors"
            " of floats or 8-bit whole numbers are read",
            code="unsupported_tensor",
        )
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    array: NDArray[Any] = np.asarray(tensor.numpy())
    return array


def _are_tensors(values: Sequence[Any], count: int) -> bool:
    return len(values) >= count and all(isinstance(one, torch.Tensor) for one in values[:count])


def _not_read(layout: Layout) -> DataError:
    return DataError(
        f"the file is {layout.name}, as {layout.made_by} saves it: {layout.refusal}",
        code="layout_not_read",
        layout=layout.letter,
    )


def _unknown(content: object) -> DataError:
    seen = type(content).__name__
    if isinstance(content, dict):
        keys = [str(key)[:40] for key in list(content)[:10] if isinstance(key, str | int)]
        seen = f"a dict of {len(content):,} keys ({', '.join(keys)})"
    elif isinstance(content, list | tuple):
        kinds = ", ".join(type(one).__name__ for one in content[:10])
        seen = f"a {seen} of {len(content):,} ({kinds})"
    return DataError(
        f"the file holds {seen}, which is no layout of condensed sets that is known. Save the set as"
        ' torch.save([images, labels], "data.pt"), images as (N, channels, height, width)',
        code="unknown_layout",
    )
