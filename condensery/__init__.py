"""condensery for users: clients of a server, the command line, and a loader of condensed sets."""

from pathlib import Path
from typing import TYPE_CHECKING

from condensery.client._async.artifacts import AsyncArtifact
from condensery.client._async.client import AsyncClient
from condensery.client._async.condensed_sets import AsyncCondensedSet
from condensery.client._async.datasets import AsyncDataset
from condensery.client._async.jobs import AsyncJob
from condensery.client._sync.artifacts import Artifact
from condensery.client._sync.client import Client
from condensery.client._sync.condensed_sets import CondensedSet
from condensery.client._sync.datasets import Dataset
from condensery.client._sync.jobs import Job
from condensery.client.errors import (
    ApiError,
    ChecksumMismatch,
    CondensedSetInvalid,
    CondenseryError,
    ConnectionFailed,
    DatasetInvalid,
    FileChanged,
    JobFailed,
    NothingToSend,
    NotOffered,
    UnexpectedAnswer,
)
from condensery.client.fields import Cost, Evaluation, Event, JobCheck, Key, Metric, Reason, Upload, Usage

if TYPE_CHECKING:
    from condensery.loader import CondensedSet as LoadedSet


def load(path: Path | str) -> "LoadedSet":
    """A downloaded condensed.safetensors as a torch Dataset, normalised as it is to be trained on.

    Needs torch and safetensors, which nothing else here does: the extra `torch`.

    Raises:
        ValueError: it is no condensed set.
        OSError: it cannot be read.
    """
    from condensery.loader import read

    return read(Path(path))


__all__ = [
    "ApiError", "Artifact", "AsyncArtifact", "AsyncClient", "AsyncCondensedSet", "AsyncDataset",
    "AsyncJob", "ChecksumMismatch", "Client", "CondensedSet", "CondensedSetInvalid", "CondenseryError",
    "ConnectionFailed", "Cost", "Dataset", "DatasetInvalid", "Evaluation", "Event", "FileChanged", "Job",
    "JobCheck", "JobFailed", "Key", "Metric", "NotOffered", "NothingToSend", "Reason", "UnexpectedAnswer",
    "Upload", "Usage", "load",
]  # fmt: skip
