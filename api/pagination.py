"""Lists: newest first, by keyset. `next` is what to pass as `after`."""

from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

Item = TypeVar("Item", bound=BaseModel)

Limit = Annotated[int, Query(ge=1, le=200, description="Rows of one page.")]
_ID = r"^[A-Za-z0-9_-]*$"
After = Annotated[str | None, Query(max_length=64, pattern=_ID, description="`next` of the page before.")]
#: A filter by an id or another plain word.
IdFilter = Annotated[str | None, Query(max_length=64, pattern=_ID)]


class Page(BaseModel, Generic[Item]):
    data: list[Item]
    has_more: bool
    next: str | None = Field(description="Pass it as `after` for the next page; null on the last.")


def page_of(items: Sequence[Item], has_more: bool, key: str = "id") -> Page[Item]:
    last = str(getattr(items[-1], key)) if has_more and items else None
    return Page(data=list(items), has_more=has_more, next=last)
