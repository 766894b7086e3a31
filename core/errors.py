"""The one tree of errors that a user may see.

Each class names a kind of failure; `code` is the stable word that clients branch on. What HTTP
status a kind maps to is the API's business (api/problems.py).
"""

from typing import Any


class CondenseryError(Exception):
    """A failure with a stable code and a sentence that says what, where and the limit.

    Args:
        detail: the sentence.
        code: overrides the class's own code.
        pointer: JSON pointer to the offending field of a request body, if there is one.
        context: further facts (member, limit, value, …) that are safe to show to the user.
    """

    code = "internal"

    def __init__(
        self, detail: str, *, code: str | None = None, pointer: str | None = None, **context: Any
    ) -> None:
        self.detail = _legible(detail)
        super().__init__(self.detail)
        self.code = code or self.code
        self.pointer = pointer
        self.context = _legible(context)

    def as_dict(self) -> dict[str, Any]:
        return {"code": self.code, "detail": self.detail, **self.context}


def _legible(value: Any) -> Any:
    """Fit to be stored and sent: neither JSON nor a database takes half a surrogate pair or a NUL."""
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
        case list() | tuple():
            return [_legible(one) for one in value]
        case dict():
            return {key: _legible(one) for key, one in value.items()}
    return value


class InvalidRequest(CondenseryError):
    """Well-formed, but its values cannot be served."""

    code = "invalid_request"


class Malformed(CondenseryError):
    """Not readable as the protocol demands."""

    code = "malformed"


class TooLarge(CondenseryError):
    code = "too_large"


class Unauthenticated(CondenseryError):
    code = "unauthenticated"


class Forbidden(CondenseryError):
    code = "forbidden"


class NotFound(CondenseryError):
    """Absent, or another owner's: the two are never told apart."""

    code = "not_found"


class Conflict(CondenseryError):
    """The resource is not in a state that allows this."""

    code = "conflict"


class Gone(CondenseryError):
    """It was there, and will not be again."""

    code = "gone"


class Locked(CondenseryError):
    """Somebody else is at it: try again."""

    code = "locked"


class QuotaExceeded(CondenseryError):
    """The owner has as much of something as may be had."""

    code = "quota_exceeded"


class Overloaded(CondenseryError):
    """The server serves as much as it can, or is about to stop: again a little later."""

    code = "overloaded"


class ChecksumMismatch(CondenseryError):
    """The bytes of a request are not those that it announced."""

    code = "checksum_mismatch"


class StorageFull(CondenseryError):
    code = "storage_full"


class StorageUnavailable(CondenseryError):
    """The store of blobs cannot be reached, or refuses us: not the user's to mend, and worth another try."""

    code = "storage_unavailable"


class DataError(CondenseryError):
    """The uploaded data cannot be used. Always the user's to mend, so never retried.

    Raised by core.data with a specific code (`truncated_archive`, `unsafe_member_name`,
    `object_array`, `too_few_classes`, …) and, in the context, the member and the limit.
    """

    code = "invalid_data"


class JobError(CondenseryError):
    """A job that cannot go on, for a reason that a retry would meet again."""

    code = "job_failed"


class LeaseLost(CondenseryError):
    """Another worker holds the row now: stop, and write nothing more."""

    code = "lease_lost"
