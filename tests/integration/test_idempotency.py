"""Which requests are still known when they are repeated."""

from sqlalchemy import select, update

from core.catalogue.idempotency import REMEMBERED_SECONDS, forget_old, remember
from core.db.models import IdempotencyKey
from core.db.session import Database
from core.db.types import db_now


def test_keys_are_forgotten_when_nobody_can_still_be_repeating_them(database: Database) -> None:
    with database.writing() as session:
        for key in ("old", "young"):
            remember(session, "owner", key, {"a": 1}, f"job_{key}")
    for key, seconds in (("old", REMEMBERED_SECONDS + 60), ("young", REMEMBERED_SECONDS - 60)):
        with database.writing() as session:
            ours = IdempotencyKey.key == key
            session.execute(update(IdempotencyKey).where(ours).values(created_at=db_now(-seconds)))
    with database.writing() as session:
        forget_old(session)
    with database.reading() as session:
        assert session.scalars(select(IdempotencyKey.key)).all() == ["young"]
