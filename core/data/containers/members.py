"""What an archive member is, and which names it may have."""

import re
import unicodedata
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from core.data.limits import Limits, check_limit
from core.errors import DataError

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One regular file of an archive, as a byte range of the file that holds it.

    Attributes:
        name: slash-separated, NFC, without "." components.
        offset, stored_bytes: where its bytes lie in the archive file.
        size: expanded size, as declared; reading refuses more and fewer bytes than this.
        deflated: stored as a raw deflate stream (zip), else as it is.
        crc: CRC-32 of the expanded bytes, where the container has one.
    """

    name: str
    offset: int
    stored_bytes: int
    size: int
    deflated: bool = False
    crc: int | None = None

    @property
    def base_name(self) -> str:
        return self.name.rpartition("/")[2]


def safe_name(raw: str, limits: Limits) -> str:
    """The member's name in normal form.

    Nothing is ever written under this name. It is refused all the same when it would be unsafe to
    extract, because such an archive was not made by an honest tool.

    Raises:
        DataError: `unsafe_member_name` or `limit_exceeded`.
    """
    size = len(raw.encode("utf-8", "surrogatepass"))
    check_limit("name_bytes", size, limits.name_bytes, raw[:200])
    faults = (
        ("contains a NUL or another control character", CONTROL.search(raw)),
        ("contains a backslash", "\\" in raw),
        ("is not valid Unicode", SURROGATE.search(raw)),
        ("is absolute", raw.startswith("/") or raw[1:2] == ":"),
        ("contains '..'", ".." in raw.split("/")),
    )
    for fault, found in faults:
        if found:
            shown = raw[:200]
            raise DataError(f"member name {shown!r} {fault}", code="unsafe_member_name", member=shown)
    parts = [part for part in unicodedata.normalize("NFC", raw).split("/") if part not in ("", ".")]
    check_limit("name_depth", len(parts), limits.name_depth, raw[:200])
    return "/".join(parts)


def check_members(members: Sequence[Member], limits: Limits) -> None:
    """Refuse an empty name, a name that occurs twice (case-folded), and sizes over the limits."""
    total = 0
    # Not the names themselves: a set of a million of them takes more memory than all else that is kept.
    hashes = array("q")
    for member in members:
        if not member.name:
            raise DataError("a member has an empty name", code="unsafe_member_name", member="")
        check_limit("member_bytes", member.size, limits.member_bytes, member.name)
        total += member.size
        check_limit("expanded_bytes", total, limits.expanded_bytes)
        hashes.append(hash(_folded(member)))
    values, counts = np.unique(np.array(hashes, np.int64), return_counts=True)
    _check_twice(members, set(values[counts > 1].tolist()))


def _check_twice(members: Iterable[Member], suspect_hashes: set[int]) -> None:
    seen: set[str] = set()
    for member in members if suspect_hashes else ():
        folded = _folded(member)
        if hash(folded) not in suspect_hashes:
            continue
        if folded in seen:
            raise DataError(
                f"member name {member.name!r} occurs twice (names that differ only in case count as one)",
                code="duplicate_member",
                member=member.name,
            )
        seen.add(folded)


def _folded(member: Member) -> str:
    return unicodedata.normalize("NFC", member.name.casefold())
