"""Standard output carries results, standard error everything else."""

import json
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]

#: Of tables that are not shown in a terminal: a line is never folded or cut.
_WIDTH_OF_FILES = 1000


def report(text: str) -> None:
    """A line to standard error."""
    print(text, file=sys.stderr, flush=True)


def put(text: str) -> None:
    """A line of the result."""
    print(text, flush=True)


def put_json(value: Any) -> None:
    """What the server answered, as it came."""
    put(json.dumps(value, indent=2, ensure_ascii=False))


def put_json_line(value: Any) -> None:
    put(json.dumps(value, ensure_ascii=False))


def put_deleted(ids: Iterable[str], delete: Callable[[str], object], as_json: bool) -> None:
    """Delete one after another, and say so of each: if one fails, those before it are known to be gone."""
    gone = []
    for one in ids:
        delete(one)
        gone.append(one)
        if not as_json:
            put(f"{one}  deleted")
    if as_json:
        put_json({"deleted": gone})


def put_table(columns: Iterable[str], rows: Iterable[Iterable[Any]], right: Iterable[str] = ()) -> None:
    """Text from users is shown as it is, not read as markup."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    _print(table, rows)


def put_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """What is known of one thing, a line each."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    _print(table, facts)


def sentence_of(error: Exception) -> str:
    """What went wrong; of a file, which one."""
    match error:
        case OSError(filename=str() | Path()):
            return f"{error.filename}: {error.strerror}"
    return str(error)


def _print(table: Table, rows: Iterable[Iterable[Any]]) -> None:
    for row in rows:
        table.add_row(*(Text(cell(one)) for one in row))
    width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
    Console(file=sys.stdout, width=width, highlight=False).print(table)


def cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M")
        case float():
            return f"{value:.4g}"
        case str():
            return "".join(one if one.isprintable() else "�" for one in value)
    return str(value)


def accuracy(mean: float, std: float | None) -> str:
    """Of fractions, in percent."""
    return f"{100 * mean:.1f} %" if std is None else f"{100 * mean:.1f} ± {100 * std:.1f} %"


def size(count: float | None) -> str:
    """Bytes, for people."""
    if count is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float) -> str:
    """For people."""
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 48:
        return f"{hours / 24:.0f} days"
    if minutes >= 90:
        return f"{hours:.1f} hours"
    return f"{minutes:.0f} minutes" if seconds >= 90 else counted(round(seconds), "second")


def counted(count: int, one: str, more: str | None = None) -> str:
    """`1 image`, `2 images`; `more` where an s is not enough."""
    return f"{count} {one if count == 1 else more or one + 's'}"


class TimeLeftColumn(TimeRemainingColumn):
    """The task's field `left`, in seconds; without it, an estimate from the steps so far."""

    def render(self, task: Task) -> Text:
        left = task.fields.get("left")
        if left is None:
            return super().render(task)
        return Text(str(timedelta(seconds=round(left))), style="progress.remaining")


def bars(*columns: ProgressColumn) -> Progress:
    """Progress on standard error, if that is a terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=max(5, min(20, console.width - 75))),  # the rest fits into eighty columns
        *columns,
        TimeElapsedColumn(),
        TimeLeftColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def command(*words: str) -> str:
    """How to type a command: with the path of the program if it was called so, for the same server."""
    program, *typed = sys.argv
    # Found on the PATH, it is called by the very path that the search gives.
    by_name = Path(program).name != "condensery" or program == shutil.which("condensery")
    return shlex.join(["condensery" if by_name else program, *_server(typed), *words])


def same_command() -> str:
    """The command that is running."""
    return command(*_typed())


def command_on(context: typer.Context, instead: str) -> str:
    """The command that is running, with another `source`. Which of the words is that, and not an option's
    value, only the parser knows."""
    name, *words = _typed()
    for at, word in enumerate(words):
        tried = [*words[:at], instead, *words[at + 1 :]]
        if word == context.params["source"] and _source(context, tried) == instead:
            return command(name, *tried)
    return same_command()


def _source(context: typer.Context, words: list[str]) -> Any:
    return context.command.make_context(context.info_name, [*words], resilient_parsing=True).params["source"]


def _typed() -> list[str]:
    words = sys.argv[1:]
    return words[len(_server(words)) :]


def _server(words: list[str]) -> list[str]:
    """The --server that stands before the command."""
    match words:
        case ["--server", address, *_]:
            return ["--server", address]
        case [word, *_] if word.startswith("--server="):
            return [word]
    return []
