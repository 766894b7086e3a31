"""How much an upload may ask of us, held against what was counted and not against what a header says."""

from dataclasses import dataclass

from core.errors import DataError

MIB = 1024**2
GIB = 1024**3


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upper bounds of one upload; the defaults admit ImageNet-sized sets and no archive bomb.

    Attributes:
        members: files and folders in the archive.
        member_bytes: expanded size of one file in the archive.
        expanded_bytes: expanded size of the whole archive.
        ratio: expanded bytes per stored byte, of one member and of a compressed tar as a whole.
        ratio_floor_bytes: expansion up to this size is never held against the ratio.
        name_bytes, name_depth: UTF-8 length and number of path components of a member's name.
        image_bytes: size of one encoded image file.
        image_pixels: width times height of one image, checked before its pixels are decoded.
        images: images of the whole set, of all splits.
        classes: distinct labels.
        pickle_bytes, pickle_operations: size and length of one pickle of a CIFAR archive.
        canonical_bytes: size of the pixels written.
    """

    members: int = 1_500_000
    member_bytes: int = 16 * GIB
    expanded_bytes: int = 64 * GIB
    ratio: int = 200
    ratio_floor_bytes: int = MIB
    name_bytes: int = 1024
    name_depth: int = 16
    image_bytes: int = 64 * MIB
    image_pixels: int = 4096 * 4096
    images: int = 10_000_000
    classes: int = 10_000
    pickle_bytes: int = 512 * MIB
    pickle_operations: int = 5_000_000
    canonical_bytes: int = 64 * GIB


def check_limit(name: str, value: int, limit: int, member: str | None = None) -> None:
    """Raise `limit_exceeded`, naming the limit, the value and the member, if `value` is above `limit`."""
    if value > limit:
        where = f" in {member!r}" if member is not None else ""
        raise DataError(
            f"{name} is {value:,}{where}; the limit is {limit:,}",
            code="limit_exceeded",
            limit_name=name,
            value=value,
            limit=limit,
            member=member,
        )
