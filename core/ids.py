"""Public identifiers: a prefix that names the kind, then a UUIDv7, so that ids sort by creation."""

from typing import Literal

import uuid_utils

Prefix = Literal["up", "ds", "job", "tr", "cs", "art", "key", "wh", "dlv", "wk", "pn"]


def new_id(prefix: Prefix) -> str:
    return f"{prefix}_{uuid_utils.uuid7().hex}"


def random_hex() -> str:
    """An id of no kind, such as a request's."""
    return uuid_utils.uuid7().hex
