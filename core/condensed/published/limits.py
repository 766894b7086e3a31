"""How much an uploaded condensed set may ask of the process that reads it."""

from dataclasses import dataclass

from core.data.limits import MIB, Limits, check_limit

MOST_FACTOR = 8
"""f of collages that are decoded, at most."""


@dataclass(frozen=True, kw_only=True)
class PublishedLimits:
    """Upper bounds, checked before anything of that size is made.

    Reading holds the file (torch loads it whole) and a copy of one set's images as float32: at the most
    `file_bytes` + 4 · `values` bytes, or twice `file_bytes`, and some 200 MB beside them.

    Attributes:
        file_bytes: the file, and all that a zip of it expands to.
        members: files in a zip.
        images: N of the set, decoded or not.
        values: N · C · H · W, decoded or not.
        classes: distinct labels, or columns of soft ones.
        pickle_bytes, pickle_operations: the structure in a torch file, without its numbers.
    """

    file_bytes: int = 2048 * MIB
    members: int = 200_000
    images: int = 200_000
    values: int = 512 * MIB
    classes: int = 10_000
    pickle_bytes: int = 16 * MIB
    pickle_operations: int = 1_000_000

    def of_archive(self) -> Limits:
        """The same, for whoever opens the archive and its images."""
        return Limits(
            members=self.members,
            member_bytes=self.file_bytes,
            expanded_bytes=self.file_bytes,
            images=self.images,
            classes=self.classes,
        )

    def check_images(self, shape: tuple[int, ...], where: str) -> None:
        """Raise `limit_exceeded` if there are too many images or values of this shape."""
        check_limit("images", shape[0] if shape else 0, self.images, where)
        values = 1
        for side in shape:
            values *= side
        check_limit("values", values, self.values, where)
