"""Data sets and jobs, watched to their end on standard error."""

from collections.abc import Iterator
from time import monotonic
from typing import Any

from rich.progress import Progress, TaskID, TextColumn

from condensery.cli.group import Failed
from condensery.cli.output import bars, counted, duration, say
from condensery.cli.silence import explained
from condensery.client.fields import Event
from condensery.client.resources import Dataset, Job

#: Events that say nothing to a person.
_QUIET = ("progress", "checkpoint", "snapshot", "estimate", "phase")

#: Where no bar is seen, as in a log.
SECONDS_BETWEEN_LINES = 30


def watch_dataset(dataset: Dataset) -> Dataset:
    """Once it is ready. Raises DatasetInvalid."""
    if dataset.state == "ready":
        return dataset
    with bars(TextColumn("{task.completed:,.0f} images")) as progress:
        task = progress.add_task(f"reading {dataset.name}", total=None)
        next_line = monotonic() + SECONDS_BETWEEN_LINES
        with explained(dataset, lambda line: say_above(progress, f"{dataset.id}: {line}")) as heard:
            for event in dataset.events():
                heard()
                if event.type != "progress":
                    continue
                done, total = event.data["images"], event.data.get("total")
                progress.update(task, completed=done, total=total)
                if progress.disable and monotonic() >= next_line:
                    next_line = monotonic() + SECONDS_BETWEEN_LINES
                    say(f"  reading {dataset.name}: {done}{f'/{total}' if total else ''} images")
    ready = dataset.wait()
    if ready.manifest is None:
        raise Failed(f"{ready.id} is ready, but has no manifest")
    train, test = (ready.manifest["splits"][name]["count"] for name in ("train", "test"))
    say(
        f"{ready.id}: ready, {train} training and {counted(test, 'test image')}, "
        f"{counted(len(ready.manifest['classes']), 'class', 'classes')}, {ready.image_size} px"
    )
    say(f"  {ready.manifest['split_rule']}")
    for warning in ready.manifest["report"]["warnings"]:
        say(f"  {warning['code']}: {warning['detail']}")
    return ready


def watch_job(job: Job) -> Job:
    """Once it has ended, however."""
    if job.ended:
        return job.refresh()
    with bars(TextColumn("{task.fields[note]}", markup=False)) as progress:
        bar = progress.add_task(job.state, total=None, note="", left=None)
        next_line = monotonic() + SECONDS_BETWEEN_LINES
        who = f"{job.id}:"
        with explained(job, lambda line: say_above(progress, f"{job.id}: {line}")) as heard:
            for event in job.events():
                heard()
                _move(event, progress, bar)
                for line in _lines(event):
                    say_above(progress, f"{who} {line}")
                    who = " "  # the id is half of a terminal's width
                if progress.disable and event.type == "progress" and monotonic() >= next_line:
                    next_line = monotonic() + SECONDS_BETWEEN_LINES
                    now = progress.tasks[bar]
                    say(f"  {now.description} {now.fields['note']}{_left(now.fields['left'])}".rstrip())
        progress.remove_task(bar)  # what it said last is a line above it
    return job.refresh()


def say_above(progress: Progress, line: str) -> None:
    """A line that stays, above the bar."""
    progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(event: Event) -> Iterator[str]:
    """What stays to be read of it."""
    found = event.data
    if event.type == "estimate":
        yield f"condensing takes about {duration(found['seconds'])}, and is evaluated then"
    elif event.type == "evaluated":
        yield f"{found['method']}, network {found['repeat'] + 1}: {found['accuracy']:.1%}"
    elif event.type == "accuracy":
        yield f"after iteration {found['iteration']}, network {found['repeat'] + 1}: {found['accuracy']:.1%}"
    elif event.type not in _QUIET:
        yield event.type + (f" to {found['phase']}" if "phase" in found else "")


def _move(event: Event, progress: Progress, bar: TaskID) -> None:
    found = event.data
    if event.type == "progress" and (now := found.get("evaluating")):
        stage = f"evaluating iteration {found['iteration']}, {_network(now)}"
        _advance(progress, bar, stage, {"seconds_left": found.get("seconds_left"), **now})
    elif event.type == "progress" and found.get("phase") == "condense":
        done, total = found["iteration"], found["iterations"]
        _stage(progress, bar, "condensing", total)
        note = f"{done}/{total}, loss {found['loss']:.4g}"
        progress.update(bar, completed=done, note=note, left=found.get("seconds_left"))
    elif event.type == "progress" and found.get("phase") == "evaluate":
        _advance(progress, bar, f"evaluating {found['method']}, {_network(found)}", found)
    elif event.type == "phase":
        _stage(progress, bar, found["phase"])
    elif event.type not in (*_QUIET, "evaluated", "accuracy"):
        _stage(progress, bar, event.type)


def _network(found: dict[str, Any]) -> str:
    return f"network {found['network']}/{found['networks']}"


def _advance(progress: Progress, bar: TaskID, stage: str, at: dict[str, Any]) -> None:
    _stage(progress, bar, stage, at["epochs"])
    note, left = f"epoch {at['epoch']}/{at['epochs']}", at.get("seconds_left")
    progress.update(bar, completed=at["epoch"], note=note, left=left)


def _stage(progress: Progress, bar: TaskID, name: str, total: int | None = None) -> None:
    """A new one begins anew: the time left is judged by its own pace, not by that of the one before."""
    task = progress.tasks[bar]
    if task.description != name:
        task.total = total
        progress.reset(bar, description=name, note="", left=None)


def _left(seconds: float | None) -> str:
    """Of the whole phase, where the server says it."""
    return "" if seconds is None else f", {duration(seconds)} left"
