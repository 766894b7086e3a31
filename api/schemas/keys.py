"""API keys."""

import re
from datetime import UTC, datetime

from pydantic import ConfigDict, Field, field_validator

from api.schemas.common import Name, Request, Resource
from core.catalogue.keys import OWNER_PATTERN, Scope

#: Pydantic would take numbers, too, and dates without a time.
_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")


class KeyCreate(Request):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "training pipeline", "scope": "write"}]}
    )

    name: Name
    scope: Scope = "write"
    owner: str | None = Field(
        None, pattern=OWNER_PATTERN, description="Whose rows it sees. Default: the caller's."
    )
    expires_at: datetime | None = None

    @field_validator("expires_at", mode="before")
    @classmethod
    def _is_a_date_with_time(cls, value: object) -> object:
        if value is not None and not (isinstance(value, str) and _RFC_3339.match(value)):
            raise ValueError("must be a date with its time, such as 2027-01-01T00:00:00Z")
        return value

    @field_validator("expires_at")
    @classmethod
    def _has_zone(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("needs a time zone, such as 2027-01-01T00:00:00Z")
        try:
            return value and value.astimezone(UTC)
        except OverflowError as error:
            raise ValueError("is beyond the year 9999 in UTC") from error


class KeyOut(Resource):
    owner: str
    name: str
    scopes: list[str]
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class KeyCreated(KeyOut):
    token: str = Field(description="Shown this once: only its hash is kept.")
