"""How commands end that do not end well: a line with what happened, and what to do. No traceback for a user's
mistake or a server that is away."""

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from condensery.cli.outcome import document, wants_json
from condensery.cli.output import put_json, put_json_line, report, sentence_of
from condensery.client.errors import ApiError, CondenseryError, ConnectionFailed, UnexpectedAnswer
from condensery.up import offered

INTERRUPTED = 130
#: The command whose JSON is an object a line.
_LINES = "events"


class Interrupted(Exception):
    """Ctrl-C, in the middle of what can be gone on with; the text has how."""


class Failed(Exception):
    """A command that did not do what it was asked for; the text has why."""


class Group(TyperGroup):
    """All commands. With --json whatever becomes of one is on standard output, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta["json"] = wants_json(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (Interrupted, KeyboardInterrupt) as stop:
            interrupted = Interrupted(str(stop) or "interrupted")
            report(f"\n{interrupted}")
            if ctx.invoked_subcommand != _LINES:  # there it is how one ends
                _put(ctx, interrupted)
            raise typer.Exit(INTERRUPTED) from stop
        except BrokenPipeError as error:
            # Whoever read the output has enough of it; what is left must not be flushed into the closed pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from error
        except (CondenseryError, Failed, OSError) as error:
            report(f"condensery: {_sentence(error)}")
            _put(ctx, error)
            raise typer.Exit(1) from error
        except TyperException as error:  # a command or an option that there is not, which typer reports
            _put(ctx, error)
            raise


def _put(ctx: Any, error: Exception) -> None:
    if ctx.meta["json"]:
        (put_json_line if ctx.invoked_subcommand == _LINES else put_json)(document(error))


def _sentence(error: Exception) -> str:
    match error:
        case ConnectionFailed():
            start = " (`condensery up`)" if offered() else ""
            return f"{error}\nIs it running{start}? Another server: CONDENSERY_SERVER, or --server"
        case ApiError(status=401):
            where = "CONDENSERY_API_KEY, or `api_key` in the file that `condensery config` names"
            return f"{error.detail}\nThe key goes into {where}"
        case UnexpectedAnswer():
            return f"{error}\nAnother server: CONDENSERY_SERVER, or --server"
    return sentence_of(error)
