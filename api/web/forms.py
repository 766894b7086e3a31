"""What a form sends."""

import hashlib
import json
from collections import Counter
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from core.errors import InvalidRequest, Malformed

MEDIA_TYPE = "application/x-www-form-urlencoded"
_MAX_FIELDS = 300


class Fields:
    """Names and values in the order of the form; a value is without white space around it."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = [(name, value.strip()) for name, value in pairs]

    def one(self, name: str) -> str:
        """Empty if it is absent.

        Raises:
            InvalidRequest: it is given more than once.
        """
        values = self.all(name)
        if len(values) > 1:
            raise InvalidRequest(f"{name!r} is given {len(values)} times: give it once")
        return values[0] if values else ""

    def all(self, name: str) -> list[str]:
        return [value for given, value in self.pairs if given == name]

    def names(self) -> Counter[str]:
        return Counter(name for name, _ in self.pairs)


async def _read(request: Request) -> Fields:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != MEDIA_TYPE:
        raise HTTPException(415, f"send a form with Content-Type: {MEDIA_TYPE}")
    try:
        text = (await request.body()).decode()
        return Fields(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS))
    except ValueError as error:
        raise Malformed(f"the form cannot be read: {error}") from error


#: The body of a request as a form. The application's limit of a body holds.
Form = Annotated[Fields, Depends(_read)]


def key_of(form: Fields, *filled_in: Any) -> str | None:
    """An idempotency key, by the form's field `once`: the same if it is sent twice, another if it was changed
    meanwhile."""
    once = form.one("once")
    if not once:
        return None
    text = json.dumps([once, *filled_in], sort_keys=True)
    return f"page-{hashlib.sha256(text.encode()).hexdigest()}"
