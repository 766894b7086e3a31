"""Zip archives whose bytes depend on nothing but their members."""

from zipfile import ZipInfo


def member(name: str) -> ZipInfo:
    """A stored (not compressed) member with the earliest date that zip knows and plain file permissions.

    Stored, because PNG is compressed already and noise-like float pixels hardly compress. A name that ends
    with a slash is a folder.
    """
    info = ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system = 3  # Unix, also when written elsewhere: the byte is part of the archive
    # A folder needs its type in both halves: Unix mode above, the DOS bit below.
    info.external_attr = (0o40755 << 16) | 0x10 if name.endswith("/") else 0o100644 << 16
    return info
