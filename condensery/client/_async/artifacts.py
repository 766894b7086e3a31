"""The files of results."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from condensery.client import bodies
from condensery.client._async.download import download
from condensery.client._async.requests import AsyncRequests
from condensery.client.errors import NotOffered
from condensery.client.fields import ArtifactFields, Resource
from condensery.client.files import Progress
from condensery.client.parsing import parse


@dataclass(frozen=True, kw_only=True)
class AsyncArtifact(ArtifactFields):
    """A file of a condensed set or of a job's result."""

    requests: AsyncRequests = field(repr=False, compare=False)

    async def download(self, target: Path | str, progress: Progress | None = None) -> Path:
        """Save it as `target`, or under its own name in the folder `target`. What an earlier, broken
        download has left is gone on from; nothing is at `target` before its SHA-256 is right.

        Args:
            progress: called with the bytes that are there and those of the whole.

        Raises:
            ChecksumMismatch, ConnectionFailed, ApiError
        """
        return await download(self.requests, self, Path(target), progress)


def one_of(offered: Sequence[AsyncArtifact], format: str, row_id: str, state: str) -> AsyncArtifact:
    """The file of one format. Raises NotOffered, which names those that are."""
    for one in offered:
        if one.format == format:
            return one
    if not offered:
        raise NotOffered(f"{row_id} has no files: it is {state}")
    raise NotOffered(f"{row_id} offers no {format!r}, but {', '.join(one.format for one in offered)}")


class AsyncArtifacts:
    """`client.artifacts`"""

    def __init__(self, requests: AsyncRequests) -> None:
        self._requests = requests

    async def get(self, artifact_id: str) -> AsyncArtifact:
        found = await self._requests.get(f"/v1/artifacts/{artifact_id}")
        return parse(AsyncArtifact, found, requests=self._requests)

    def list(
        self, *, job: Resource | str | None = None, format: str | None = None
    ) -> AsyncIterator[AsyncArtifact]:
        """All of them, newest first, read page by page."""
        rows = self._requests.pages("/v1/artifacts", job_id=bodies.id_of(job), format=format)
        return (parse(AsyncArtifact, row, requests=self._requests) async for row in rows)
