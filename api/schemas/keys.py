"""API keys."""

from datetime import datetime

from pydantic import ConfigDict, Field, field_validator

from api.schemas.common import Request, Resource
from core.catalogue.keys import Scope


class KeyCreate(Request):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "training pipeline", "scope": "write"}]}
    )

    name: str = Field(min_length=1, max_length=200)
    scope: Scope = "write"
    owner: str | None = Field(
        None, pattern=r"^[A-Za-z0-9._@-]{1,64}$", description="Whose rows it sees. Default: the caller's."
    )
    expires_at: datetime | None = None

    @field_validator("expires_at")
    @classmethod
    def _has_zone(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("needs a time zone, such as 2027-01-01T00:00:00Z")
        return value


class KeyOut(Resource):
    owner: str
    name: str
    scopes: list[str]
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class KeyCreated(KeyOut):
    token: str = Field(description="Shown this once: only its hash is kept.")
