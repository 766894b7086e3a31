"""How commands end that do not end well: one line that says what, and what to do. No traceback for a user's
mistake or a server that is away."""

import os
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from condensery.cli.output import say
from condensery.client.errors import ApiError, CondenseryError, ConnectionFailed, UnexpectedAnswer

INTERRUPTED = 130


class Interrupted(Exception):
    """Ctrl-C, in the middle of what can be gone on with; the text says how."""


class Failed(Exception):
    """A command that did not do what it was asked for; the text says why."""


class Group(TyperGroup):
    """All commands."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Interrupted as stop:
            say(f"\n{stop}")
            raise typer.Exit(INTERRUPTED) from stop
        except KeyboardInterrupt as stop:
            say("\ninterrupted")
            raise typer.Exit(INTERRUPTED) from stop
        except BrokenPipeError as error:
            # Whoever read the output has enough of it; what is left must not be flushed into the closed pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from error
        except (CondenseryError, Failed, OSError) as error:
            say(f"condensery: {_sentence(error)}")
            raise typer.Exit(1) from error


def _sentence(error: Exception) -> str:
    match error:
        case ConnectionFailed():
            return f"{error}\nIs it running (`condensery up`)? Another server: CONDENSERY_SERVER, or --server"
        case ApiError(status=401):
            where = "CONDENSERY_API_KEY, or `api_key` in the file that `condensery config` names"
            return f"{error.detail}\nThe key goes into {where}"
        case UnexpectedAnswer():
            return f"{error}\nAnother server: CONDENSERY_SERVER, or --server"
        case OSError(filename=str() | Path()):
            return f"{error.filename}: {error.strerror}"
    return str(error)
