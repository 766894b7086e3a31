"""What has happened to a row so far, a page at a time."""

from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session

from api.pagination import Page, page_of
from api.schemas.common import EventOut
from core.work.events import events_after

AfterSeq = Annotated[int, Query(ge=0, lt=2**31)]


def history_page(session: Session, owner: str, subject_id: str, limit: int, after: int) -> Page[EventOut]:
    """Up to `limit` events after the one with the number `after`, oldest first; `next` is a number, too."""
    found = events_after(session, owner, subject_id, after, limit + 1)
    events = [EventOut.model_validate(event) for event in found[:limit]]
    return page_of(events, len(found) > limit, key="seq")
