"""Templates to pages."""

import shlex
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from api.security import COOKIE, Caller
from api.web import assets
from api.web.lines import LINES
from core.trials.methods import METHODS
from core.version import __version__

#: Nothing inline, nothing from elsewhere.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    # Not `no-referrer`: forms would then send `Origin: null`.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Vary": "Accept, Cookie",
}
#: What a state looks like besides its word: colour must not be the only sign.
SYMBOLS = {
    "ingesting": "↻", "reading": "↻", "ready": "✓", "invalid": "✕",
    "queued": "…", "running": "▶", "pausing": "‖", "paused": "‖",
    "cancelling": "■", "cancelled": "■", "succeeded": "✓", "failed": "✕",
}  # fmt: skip


def render(
    request: Request, template: str, caller: Caller | None, *, status: int = 200, **context: Any
) -> HTMLResponse:
    """A page. `caller` is None where nobody is known."""
    text = _environment.get_template(template).render(
        path=request.url.path,
        server=str(request.base_url).rstrip("/"),
        caller=caller,
        may_write=caller is not None and "write" in caller.scopes,
        is_admin=caller is not None and "admin" in caller.scopes,
        signed_in=COOKIE in request.cookies,
        # Who came with a key needs it with curl, too; nobody needs one where there are none.
        needs_key=COOKIE in request.cookies or "authorization" in request.headers,
        **context,
    )
    return HTMLResponse(text, status, HEADERS)


def _bytes(count: float | None) -> str:
    if count is None:
        return "–"
    size, units = float(count), ["kB", "MB", "GB", "TB"]
    if size < 1000:
        return f"{count:,} B"
    while (size := size / 1000) >= 999.5 and len(units) > 1:
        units.pop(0)
    return f"{size:.3g} {units[0]}"


def _duration(seconds: float | None) -> str:
    """Two figures are as much as anybody wants to know."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return "under 1 s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next(n for n, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def _percent(fraction: float | None, digits: int = 1) -> str:
    return "–" if fraction is None else f"{100 * fraction:.{digits}f} %"


def _flops(count: float) -> str:
    size, units = count / 1e9, ["GFLOP", "TFLOP", "PFLOP", "EFLOP"]
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.3g} {units[0]}"


def _accuracy(one: Any) -> str:
    """Mean ± sample standard deviation over the networks, in per cent."""
    spread = f" ± {100 * one.std:.1f}" if one.std is not None else ""
    return f"{100 * one.mean:.1f}{spread} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.10g}"


def _time(at: datetime | None) -> str:
    return "–" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _words(name: str) -> str:
    """The name of a field or a code, as people write it."""
    return name.replace("_", " ")


_environment = Environment(
    loader=PackageLoader("api.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(
    bytes=_bytes, duration=_duration, percent=_percent, flops=_flops, accuracy=_accuracy, number=_number,
    time=_time, words=_words, shell=shlex.quote,
)  # fmt: skip
_environment.globals.update(
    asset=assets.address,
    symbols=SYMBOLS,
    methods={name: one.label for name, one in METHODS.items()},
    lines=LINES,
    version=__version__,
)
