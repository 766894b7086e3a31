"""Secrets do not leave with a log line, whoever wrote it."""

import json
import os
import re
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from core.settings import Settings

HIDDEN: Final = "***"

_PATTERNS: Final = (
    (re.compile(r"(key_[0-9a-f]{8,}\.)[A-Za-z0-9_-]+"), r"\1" + HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 " + HIDDEN),
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]+"), "whsec_" + HIDDEN),
    # A scheme is bounded: at a long word, looking for one from each letter would take long.
    (re.compile(r"([a-z0-9+.-]{1,30}://[^\s/:@\"']*:)[^\s/\"']+@"), r"\1" + HIDDEN + "@"),
)
_FROM_ENVIRONMENT: Final = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD")
#: A shorter password would be found in ordinary words.
_SHORTEST: Final = 4


class Redaction:
    """A structlog processor behind the renderer: the rendered line without API keys, passwords in addresses,
    and what the settings hold that is secret."""

    def __init__(self, settings: Settings) -> None:
        addresses = (settings.database_url, settings.broker_url)
        passwords = [_password(one.get_secret_value()) for one in addresses if one is not None]
        secrets = [*passwords, *(os.environ.get(name, "") for name in _FROM_ENVIRONMENT)]
        forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
        self._literal = re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True))) or r"(?!)")

    def __call__(self, _logger: object, _method: str, rendered: Any) -> str:
        line = str(rendered)
        line = self._literal.sub(HIDDEN, line)
        for pattern, instead in _PATTERNS:
            line = pattern.sub(instead, line)
        return line


def _password(address: str) -> str:
    try:
        return unquote(urlsplit(address).password or "")
    except ValueError:
        return ""


def _forms(secret: str) -> set[str]:
    """As it is, as it stands in an address, and each as it is written in JSON."""
    return {form for one in (secret, quote(secret, safe="")) for form in (one, json.dumps(one)[1:-1])}
