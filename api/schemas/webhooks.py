"""Webhooks and what they were told."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from api.schemas.common import NO_CONTROLS, Request, Resource
from core.db.models import Webhook
from core.targets import MAX_URL
from core.webhooks.events import EventType

Url = Annotated[str, Field(min_length=1, max_length=MAX_URL)]
Events = Annotated[list[EventType] | None, Field(min_length=1, max_length=20)]
Description = Annotated[str | None, Field(max_length=200, pattern=NO_CONTROLS)]


class WebhookCreate(Request):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"url": "https://example.com/hooks/condensery"},
                {
                    "url": "https://example.com/hooks/condensery",
                    "events": ["job.succeeded", "job.failed"],
                    "description": "training pipeline",
                },
            ]
        },
    )

    url: Url = Field(description="https; by http, or to addresses that are not public, if the server allows.")
    events: Events = Field(None, description="Event types that are sent. Null: all, of later versions too.")
    description: Description = None
    enabled: bool = True


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default")


class WebhookUpdate(Request):
    """What is absent stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"enabled": False}, {"events": ["job.failed"]}, {"events": None}]},
    )

    # Null is for the two that can be empty; the document must not offer it for the others.
    url: Url | SkipJsonSchema[None] = Field(None, json_schema_extra=_without_default)
    events: Events = None
    description: Description = None
    enabled: bool | SkipJsonSchema[None] = Field(None, json_schema_extra=_without_default)

    @model_validator(mode="after")
    def _only_some_may_be_null(self) -> Self:
        for name in ("url", "enabled"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} must not be null")
        return self


class WebhookOut(Resource):
    url: str
    events: list[EventType] | None
    description: str | None
    enabled: bool
    disabled_reason: str | None = Field(description="Why the service disabled it; null if it did not.")
    failing_since: datetime | None = Field(description="Nothing was delivered since; null if all is well.")
    old_secret_until: datetime | None = Field(
        description="Until then deliveries are signed with the secret before the last rotation, too."
    )


class WebhookWithSecret(WebhookOut):
    secret: str = Field(description="Shown this once; deliveries are signed with it.")

    @classmethod
    def of(cls, webhook: Webhook) -> Self:
        return cls(**WebhookOut.model_validate(webhook).model_dump(), secret=webhook.secret)


class DeliveryOut(Resource):
    id: str = Field(description="The header webhook-id, the same in every attempt.")
    webhook_id: str
    event_type: EventType | Literal["webhook.test"]
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    last_status: int | None = Field(description="Of the last answer; null if there was none.")
    last_error: str | None = Field(description="Why the last attempt was not a success.")
    last_attempt_at: datetime | None
    next_attempt_at: datetime | None = Field(
        description="Null once nothing more is to be sent. A disabled webhook's waits until it is enabled."
    )
    delivered_at: datetime | None
    payload: Annotated[dict[str, Any], BeforeValidator(json.loads)] = Field(
        validation_alias="body", description="What is sent, parsed."
    )
