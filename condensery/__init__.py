"""condensery for users: clients of a server, the command line, and a loader of condensed sets."""

from pathlib import Path
from typing import TYPE_CHECKING

from condensery.client.async_client import AsyncClient
from condensery.client.async_resources import AsyncArtifact, AsyncDataset, AsyncJob
from condensery.client.client import Client
from condensery.client.errors import (
    ApiError,
    ChecksumMismatch,
    CondenseryError,
    ConnectionFailed,
    DatasetInvalid,
    FileChanged,
    JobFailed,
    NothingToSend,
    NotOffered,
    UnexpectedAnswer,
)
from condensery.client.fields import Evaluation, Event, Key, Metric, Reason, Upload, Usage
from condensery.client.resources import Artifact, Dataset, Job

if TYPE_CHECKING:
    from condensery.loader import CondensedSet


def load(path: Path | str) -> "CondensedSet":
    """A downloaded condensed.safetensors as a torch Dataset, normalised as it is to be trained on.

    Needs torch and safetensors, which nothing else here does: the extra `torch`.

    Raises:
        ValueError: it is no condensed set.
        OSError: it cannot be read.
    """
    from condensery.loader import read

    return read(Path(path))


__all__ = [
    "ApiError", "Artifact", "AsyncArtifact", "AsyncClient", "AsyncDataset", "AsyncJob",
    "ChecksumMismatch", "Client", "CondenseryError", "ConnectionFailed", "Dataset", "DatasetInvalid",
    "Evaluation", "Event", "FileChanged", "Job", "JobFailed", "Key", "Metric", "NotOffered",
    "NothingToSend", "Reason", "UnexpectedAnswer", "Upload", "Usage", "load",
]  # fmt: skip
