"""Which columns of a Parquet file hold the images and the labels, told from its schema alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.data.labels.text_labels import class_names
from core.data.limits import Limits
from core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_NAMES = ("image", "img", "images", "picture", "photo", "jpg", "jpeg", "png", "webp")
LABEL_NAMES = ("label", "fine_label", "labels", "class", "target", "category", "class_name", "cls", "y")
KINDS = ("Image", "ClassLabel")
# Preferred among several; CIFAR-100 has fine and coarse labels.
FIRST_IMAGES, FIRST_LABELS = ("image",), ("label", "fine_label")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """`image_leaf` is the path of the bytes; `names` are those of a ClassLabel, in label order, else None."""

    image: str
    image_leaf: str
    label: str
    names: tuple[str, ...] | None


def image_columns(schema: "pa.Schema") -> dict[str, str]:
    """Columns of a type that can hold image files, binary or struct<bytes, …>, with the path of the bytes."""
    import pyarrow.types as types

    def is_bytes(kind: "pa.DataType") -> bool:
        return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))

    found: dict[str, str] = {}
    for field in schema:
        if is_bytes(field.type):
            found[field.name] = field.name
        elif types.is_struct(field.type):
            at = field.type.get_field_index("bytes")
            if at >= 0 and is_bytes(field.type.field(at).type):
                found[field.name] = f"{field.name}.bytes"
    return found


def find_columns(schema: "pa.Schema", member: str, limits: Limits) -> Columns:
    """The image column and the label column.

    What the `huggingface` metadata declares an Image or ClassLabel; failing that, by name; failing that, the
    only column whose type can hold images. Among several the one called image, or label (or fine_label).

    Raises:
        DataError: `ambiguous_columns`, `no_image_column`, `no_label_column`, `unsupported_dtype`,
            `label_mismatch`, `unsafe_class_name`, `limit_exceeded`, or `corrupt_parquet` for column names
            that occur twice.
    """
    columns = list(schema.names)
    if len(set(columns)) != len(columns):
        raise DataError(
            f"{member!r} is not usable Parquet: a column name occurs twice",
            code="corrupt_parquet",
            member=member,
        )
    features = _features(schema)
    declared = {kind: [c for c in columns if features.get(c, {}).get("_type") == kind] for kind in KINDS}
    leaves = image_columns(schema)
    images = declared["Image"] or [c for c in columns if c.lower() in IMAGE_NAMES] or list(leaves)
    image = _one(images, FIRST_IMAGES, "image", columns, member)
    if image not in leaves:
        raise DataError(
            f"column {image!r} of {member!r} is {schema.field(image).type}; images must be binary, or a "
            "struct with their encoded files as `bytes`",
            code="unsupported_dtype",
            member=member,
            value=str(schema.field(image).type)[:200],
        )
    labels = declared["ClassLabel"] or [c for c in columns if c.lower() in LABEL_NAMES and c != image]
    label = _one(labels, FIRST_LABELS, "label", columns, member)
    _check_label_type(schema.field(label).type, label, member)
    return Columns(
        image=image,
        image_leaf=leaves[image],
        label=label,
        names=_names(features.get(label, {}), member, limits),
    )


def _features(schema: "pa.Schema") -> dict[str, dict[str, Any]]:
    """Layout: {"info": {"features": {column: {"_type": …}}}}, as the `datasets` library writes it."""
    try:
        content = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = content["info"]["features"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    if not isinstance(features, dict):
        return {}
    return {name: feature for name, feature in features.items() if isinstance(feature, dict)}


def _one(found: Sequence[str], first: Sequence[str], what: str, columns: Sequence[str], member: str) -> str:
    if len(found) == 1:
        return found[0]
    for preferred in first:
        if preferred in found:
            return preferred
    if found:
        shown = ", ".join(map(repr, found[:20]))
        raise DataError(
            f"{member!r} has several {what} columns: {shown}; keep one, or call it {first[0]!r}",
            code="ambiguous_columns",
            member=member,
            columns=list(found[:20]),
        )
    raise DataError(
        f"{member!r} has no {what} column; its columns are {', '.join(map(repr, columns[:20]))}",
        code=f"no_{what}_column",
        member=member,
        columns=list(columns[:20]),
    )


def _check_label_type(kind: "pa.DataType", column: str, member: str) -> None:
    import pyarrow.types as types

    inner = kind.value_type if types.is_dictionary(kind) else kind
    readable = (types.is_integer, types.is_boolean, types.is_string, types.is_large_string)
    if not any(test(inner) for test in (*readable, types.is_string_view)):
        raise DataError(
            f"label column {column!r} of {member!r} is {kind}; labels must be whole numbers or text",
            code="unsupported_dtype",
            member=member,
            value=str(kind)[:200],
        )


def _names(feature: dict[str, Any], member: str, limits: Limits) -> tuple[str, ...] | None:
    names = feature.get("names")
    if feature.get("_type") != "ClassLabel" or names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(
            f"the class names in the metadata of {member!r} are no list of text",
            code="label_mismatch",
            member=member,
        )
    return class_names(names, member=member, limits=limits)
