"""Downloads that go on where they broke off, are checked, and appear whole or not at all."""

import os
from pathlib import Path

from condensery.client._async.requests import AsyncRequests
from condensery.client.errors import ChecksumMismatch, CondenseryError, UnexpectedAnswer
from condensery.client.fields import ArtifactFields
from condensery.client.files import Arriving, Progress, partial_of


async def download(
    requests: AsyncRequests, artifact: ArtifactFields, target: Path, progress: Progress | None = None
) -> Path:
    """Save an artifact's content as `target`, or under its own name in the folder `target`.

    It is received into a file beside it, named for its digest, so that what is gone on from is of the same
    bytes. A target that is there already is replaced.

    Raises:
        ChecksumMismatch, ApiError, UnexpectedAnswer, ConnectionFailed
        OSError: the target cannot be written.
    """
    if target.is_dir():
        target /= Path(artifact.file_name).name
    partial = partial_of(target, artifact.sha256)
    with partial.open("a+b") as file:
        arriving = Arriving(file, artifact.size, progress)
        await _receive(requests, artifact, arriving)
        file.flush()
        os.fsync(file.fileno())
    if arriving.sha256 != artifact.sha256:
        partial.unlink()
        raise ChecksumMismatch(
            f"{target.name} arrived with the SHA-256 {arriving.sha256}, not {artifact.sha256}: it is not "
            "kept; download it again"
        )
    partial.replace(target)
    return target


async def _receive(requests: AsyncRequests, artifact: ArtifactFields, arriving: Arriving) -> None:
    tries = requests.tries()
    while arriving.there < artifact.size:
        # Of the same bytes or none; compressed ones could not be counted.
        headers = {"Range": f"bytes={arriving.there}-", "If-Range": f'"{artifact.sha256}"'}
        headers["Accept-Encoding"] = "identity"
        try:
            async with requests.stream(f"/v1/artifacts/{artifact.id}/content", headers) as answer:
                if answer.status_code != 206:
                    arriving.forget()
                async for piece in answer.aiter_bytes():
                    arriving.add(piece)
                    tries.progressed()
            if arriving.there < artifact.size:
                broken = UnexpectedAnswer(f"{artifact.id}: the bytes end before their end")
                broken.retry_after = 0.0
                raise broken
        except CondenseryError as error:
            await tries.again(error)
