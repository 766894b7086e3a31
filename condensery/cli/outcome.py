"""What `--json` prints of a command that did not end well: one document, as of one that did."""

import re
from typing import Any

from typer.exceptions import TyperException

from condensery.cli.output import sentence_of
from condensery.client.errors import ApiError, CondensedSetInvalid, DatasetInvalid, JobFailed

#: Of errors whose names are no words for what happened.
_CODES = ((TyperException, "usage"), (OSError, "os_error"))


def wants_json(words: list[str]) -> bool:
    """Whether the command was typed with --json. Asked of the words, for what cannot be parsed fails, too."""
    options = words[: words.index("--")] if "--" in words else words
    return "--json" in options


def document(error: Exception) -> dict[str, Any]:
    """The server's problem, the job, the data set or the condensed set that is the reason, or else `title`,
    `detail` and a stable `code`."""
    match error:
        case ApiError():
            return error.problem
        case JobFailed():
            return {"job": dict(error.job.raw), "files": []}
        case DatasetInvalid():
            return dict(error.dataset.raw)
        case CondensedSetInvalid():
            return dict(error.condensed_set.raw)
    code = next((code for kind, code in _CODES if isinstance(error, kind)), None) or _snake(type(error))
    detail = error.format_message() if isinstance(error, TyperException) else sentence_of(error)
    return {"title": code.replace("_", " ").capitalize(), "detail": detail, "code": code}


def _snake(kind: type) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
