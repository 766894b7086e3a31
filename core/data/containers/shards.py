"""A set in several files: which split each belongs to, and the members of tar shards as one archive."""

import re
from collections.abc import Sequence
from pathlib import Path

from core.data.containers.archive import Archive
from core.data.containers.inflate import COMPRESSIONS, bounded
from core.data.containers.members import Member, check_members, safe_name
from core.data.containers.tar_headers import BLOCK, is_tar_header, list_tar
from core.data.limits import Limits, check_limit
from core.data.source import SPLIT_ALIASES, TRAIN
from core.errors import DataError

SHARD_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst")
WORD = re.compile(r"[^a-z0-9]+")
NO_SPLIT = "in no train, val or test split"


def split_of(name: str) -> int | None:
    """The split that the last such word of a name or of its folders says, if any: train, val, test, …"""
    words = WORD.split(name.lower())
    return next((SPLIT_ALIASES[word] for word in reversed(words) if word in SPLIT_ALIASES), None)


def splits_of(names: Sequence[str]) -> list[int | None]:
    """The split of each; all train if none says one. None for those that say none beside others that do."""
    splits = [split_of(name) for name in names]
    return splits if any(split is not None for split in splits) else [TRAIN] * len(names)


def tar_shards(archive: Archive) -> list[Member]:
    """The members that are tars, plain or compressed, by name and by content."""
    return [
        member
        for member in archive.members
        if member.name.lower().endswith(SHARD_SUFFIXES) and _is_tar(archive.head(member, BLOCK))
    ]


def _is_tar(head: bytes) -> bool:
    return is_tar_header(head) or any(head.startswith(magic) for magic, _, _ in COMPRESSIONS)


def open_shards(archive: Archive, shards: Sequence[Member], limits: Limits) -> Archive:
    """The members of tar shards, each under the name shard/member; archives among them stay closed.

    A shard stored as it is, is read in place; a compressed one is expanded into the work folder first. All of
    them together are held against the limits of one archive.

    Raises:
        DataError: as for a tar, with the shard in `shard`; `unrecognised_format` for a compressed one that
            holds no tar.
    """
    origins: dict[str, tuple[Archive, Member, int]] = {}
    members: list[Member] = []
    expanded_bytes = 0
    for number, shard in enumerate(shards):
        try:
            holder, stored = archive, shard
            if shard.deflated or not is_tar_header(archive.head(shard, BLOCK)):
                holder, stored = _expand(archive, shard, archive.work / f"shard-{number}.tar", limits)
                expanded_bytes += stored.size
                check_limit("expanded_bytes", expanded_bytes, limits.expanded_bytes, shard.name)
            with holder.open(stored) as file:
                found = list_tar(file, limits)
        except DataError as error:
            error.context.setdefault("shard", shard.name)
            raise
        check_limit("members", len(members) + len(found), limits.members, shard.name)
        for member in found:
            name = safe_name(f"{shard.name}/{member.name}", limits)
            members.append(Member(name=name, offset=0, stored_bytes=member.size, size=member.size))
            origins[name] = (holder, stored, member.offset)
    check_members(members, limits)

    def read_at(member: Member, position: int, count: int) -> bytes:
        holder, stored, offset = origins[member.name]
        return holder.read_at(stored, offset + position, count)

    return Archive(f"{archive.container} of tars", members, read_at, work=archive.work, limits=limits)


def _expand(archive: Archive, shard: Member, target: Path, limits: Limits) -> tuple[Archive, Member]:
    head = archive.head(shard, BLOCK)
    chunks = archive.chunks(shard)
    for magic, name, expand in COMPRESSIONS:
        if head.startswith(magic):
            what = f"the {name} data of {shard.name!r}"
            chunks = bounded(
                expand(chunks, what),
                stored_bytes=shard.size,
                limit_name="expanded_bytes",
                limits=limits,
                what=what,
            )
            break
    with target.open("wb") as out:
        out.writelines(chunks)
        size = out.tell()
    with target.open("rb") as file:
        if not is_tar_header(file.read(BLOCK)):
            raise DataError(
                f"{shard.name!r} has the name of a tar file but is not one",
                code="unrecognised_format",
                member=shard.name,
            )
    member = Member(name=shard.name, offset=0, stored_bytes=size, size=size)

    def read_at(member: Member, position: int, count: int) -> bytes:
        # Opened for each read: nobody is there to close a file when the last batch is drawn.
        with target.open("rb", buffering=0) as file:
            file.seek(position)
            return file.read(count) or b""

    return Archive("file", [member], read_at, work=archive.work, limits=limits), member
