"""What a form sends."""

from collections import Counter
from typing import Annotated
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
            raise InvalidRequest(f"{name!r} is given {len(values)} times; once is the limit")
        return values[0] if values else ""

    def all(self, name: str) -> list[str]:
        return [value for given, value in self.pairs if given == name]

    def names(self) -> Counter[str]:
        return Counter(name for name, _ in self.pairs)


async def _read(request: Request) -> Fields:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != MEDIA_TYPE:
        raise HTTPException(415, f"a form is sent as {MEDIA_TYPE}")
    try:
        text = (await request.body()).decode()
        return Fields(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS))
    except ValueError as error:
        raise Malformed(f"the form cannot be read: {error}") from error


#: The body of a request as a form. The application's limit of a body holds.
Form = Annotated[Fields, Depends(_read)]
