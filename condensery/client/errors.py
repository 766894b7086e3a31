"""The one tree of errors that the client raises."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from condensery.client.fields import CondensedSetFields, DatasetFields, JobFields


class CondenseryError(Exception):
    """Whatever goes wrong between this client and a server.

    `retry_after` is the seconds after which the same request may have another outcome, None if waiting alone
    changes nothing. The client has tried again as often as it was allowed to before this is raised.
    """

    retry_after: float | None = None


class ApiError(CondenseryError):
    """The server refused.

    Attributes:
        problem: its RFC 9457 answer, with further members that name limits and values.
        status: of HTTP.
        code: the stable word for it, such as `not_found`.
        detail: the sentence.
    """

    def __init__(self, problem: Mapping[str, Any]) -> None:
        self.problem = dict(problem)
        self.status = int(problem.get("status", 0))
        self.code = str(problem.get("code", "unknown"))
        self.detail = str(problem.get("detail") or problem.get("title") or "no reason was given")
        super().__init__(f"{self.status} {self.code}: {self.detail}{_faults(problem, self.detail)}")


class ConnectionFailed(CondenseryError):
    """The server cannot be reached, or the connection broke more often in a row than is borne.

    `may_have_arrived`: the request, though its answer did not come.
    """

    may_have_arrived = False

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"cannot reach {address}: {reason}")
        self.address = address


class UnexpectedAnswer(CondenseryError):
    """What answered is not a condensery server, or a thing between it and here answered instead.

    `status` is that of HTTP, if there was a whole answer.
    """

    def __init__(self, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.status = status


class ChecksumMismatch(CondenseryError):
    """Bytes arrived whole, but they are not those that were sent. They are not kept."""


class FileChanged(CondenseryError):
    """A file changed while it was being uploaded."""


class NothingToSend(CondenseryError):
    """A file without a byte, or a folder without a file."""


class NotOffered(CondenseryError):
    """A job or a condensed set has no file of the format."""


class DatasetInvalid(CondenseryError):
    """A data set cannot be used. `dataset` is it, `dataset.problem` says why."""

    def __init__(self, dataset: "DatasetFields") -> None:
        super().__init__(f"{dataset.id} is {dataset.state}: {dataset.problem}")
        self.dataset = dataset


class CondensedSetInvalid(CondenseryError):
    """A condensed set cannot be used, or something has to be stated of it. `condensed_set` is it,
    `condensed_set.problem` says why; of the code `condensed_set_unclear`, `problem.raw["findings"]` says what
    is asked."""

    def __init__(self, condensed_set: "CondensedSetFields") -> None:
        super().__init__(f"{condensed_set.id} is {condensed_set.state}: {condensed_set.problem}")
        self.condensed_set = condensed_set


class JobFailed(CondenseryError):
    """A job ended without a result: it failed or was cancelled. `job` is it, `job.problem` says why."""

    def __init__(self, job: "JobFields") -> None:
        was = "was cancelled" if job.state == "cancelled" else f"has {job.state}"
        super().__init__(f"{job.id} {was}{f': {job.problem}' if job.problem else ''}")
        self.job = job


def _faults(problem: Mapping[str, Any], detail: str) -> str:
    """What is wrong with which field, where the sentence only names the fields."""
    faults = [one for one in problem.get("errors") or () if one.get("detail") != detail]
    return "".join(f"\n  {one.get('pointer')}: {one.get('detail')}" for one in faults[:10])
