"""Sets as plain arrays: our own safetensors and npz, and the npz of kernel methods. Nothing is unpickled."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from core.condensed.published.found import Found, channels_last, found
from core.condensed.published.layouts import ARRAYS, OWN
from core.condensed.published.limits import MOST_FACTOR, PublishedLimits
from core.data.containers.archive import Archive
from core.data.containers.members import Member
from core.data.limits import MIB, check_limit
from core.errors import DataError
from core.export.condensed import card_of

HEADER_BYTES = 10_000
METADATA_BYTES = 16 * MIB
STORED = ("stored", "stored_labels")
"""Of our own sets of collages, what `images` and `labels` were decoded from, and are again."""

OWN_ARRAYS = ("images", "labels", "mean", "std", "classes", "card")


def read_safetensors(path: Path, limits: PublishedLimits) -> Found:
    """Tensors `images` and `labels`; normalisation, class names and card from its metadata, if it has them.

    Raises:
        DataError: `corrupt_safetensors`, `unknown_layout`, `limit_exceeded`, or as `found`.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            if not {"images", "labels"} <= names:
                raise DataError(
                    f"the safetensors file holds {', '.join(sorted(names)[:10])}; images and labels are"
                    " expected",
                    code="unknown_layout",
                )
            for name in ("images", "labels"):
                limits.check_images(tuple(file.get_slice(name).get_shape()), name)
            metadata = file.metadata() or {}
            stored = "collages" in metadata and "normalisation" in metadata
            taken = STORED if stored else ("images", "labels")
            images, labels = (file.get_tensor(name) for name in taken)
    except DataError:
        raise
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the safetensors file is corrupt: {error}", code="corrupt_safetensors") from error
    dropped = tuple(sorted(names - {"images", "labels", *(STORED if stored else ())})[:100])
    if "normalisation" not in metadata:
        return found(ARRAYS, images, labels, dropped=dropped)
    try:
        provenance = {field: json.loads(text) for field, text in metadata.items()}
        stated = _stated(provenance)
    except (ValueError, KeyError, TypeError) as error:
        raise _card(error) from error
    return found(OWN, images, labels, dropped=dropped, **stated)


def read_npz(archive: Archive, limits: PublishedLimits) -> Found:
    """Arrays `images` and `labels` (KIP, RFAD, ours), or `image` and `label` (FRePo).

    Raises:
        DataError: `unknown_layout`, `corrupt_npy`, `object_array`, `ambiguous_axes`, `limit_exceeded`, or as
            `found`.
    """
    members = {one.base_name.removesuffix(".npy"): one for one in archive.members}
    names = ("image", "label") if "image" in members else ("images", "labels")
    if not set(names) <= set(members):
        raise DataError(
            f"the npz holds {', '.join(sorted(members)[:10])}; images and labels, or image and label, are"
            " expected",
            code="unknown_layout",
        )
    images, labels = (_array(archive, members[name], limits) for name in names)
    if set(OWN_ARRAYS) <= set(members):
        for name in ("classes", "card"):
            check_limit(f"bytes of {name}", members[name].size, METADATA_BYTES, name)
        try:
            card = json.loads(_array(archive, members["card"], limits).item())
            if "collages" in card:
                images, labels = (_array(archive, members[name], limits) for name in STORED)
            return found(OWN, images, labels, **_stated(card))
        except (ValueError, KeyError, TypeError) as error:
            raise _card(error) from error
    dropped = tuple(sorted(set(members) - set(names))[:100])
    last = images.ndim == 4 and channels_last(images.shape, "the npz")
    return found(ARRAYS, images, labels, channels_last=last, dropped=dropped)


def _array(archive: Archive, member: Member, limits: PublishedLimits) -> NDArray[Any]:
    """Read-only, over the member's own bytes; its header is checked before more than it is read."""
    head = io.BytesIO(archive.head(member, HEADER_BYTES + 16))
    try:
        version = np.lib.format.read_magic(head)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran_order, dtype = read_header(head, max_header_size=HEADER_BYTES)
    except (ValueError, KeyError, EOFError, TypeError) as error:
        raise DataError(
            f"{member.name!r} has no header of .npy version 1 or 2", code="corrupt_npy", member=member.name
        ) from error
    if dtype.hasobject:
        raise DataError(
            f"{member.name!r} is an object array, readable only by unpickling: save it with a numeric dtype",
            code="object_array",
            member=member.name,
        )
    limits.check_images(shape, member.name)
    count = int(np.prod(shape, dtype=object)) if shape else 1
    if member.size != head.tell() + count * dtype.itemsize or dtype.itemsize == 0:
        raise DataError(
            f"{member.name!r} states shape {shape} of {dtype} and holds another number of bytes",
            code="corrupt_npy",
            member=member.name,
        )
    flat = np.frombuffer(archive.read(member), dtype, offset=head.tell())
    return flat.reshape(shape, order="F" if fortran_order else "C")


def _stated(provenance: dict[str, Any]) -> dict[str, Any]:
    normalisation = provenance["normalisation"]
    return {
        "factor": factor_of(provenance),
        "classes": tuple(map(str, provenance["classes"])),
        "mean": tuple(map(float, normalisation["mean"])),
        "std": tuple(map(float, normalisation["std"])),
        "card": card_of(provenance),
    }


def factor_of(provenance: Mapping[str, Any]) -> int | None:
    """f of the collages that a set of ours is stored as.

    Raises:
        KeyError, TypeError, ValueError: the card is not as this service writes it.
    """
    if "collages" not in provenance:
        return None
    factor = int(provenance["collages"]["factor"])
    if not 2 <= factor <= MOST_FACTOR:
        raise ValueError(f"a factor of {factor}")
    return factor


def _card(error: Exception) -> DataError:
    return DataError(f"the set's card is not as this service writes it: {error}", code="corrupt_card")
