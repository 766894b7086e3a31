"""Data sets, condensed sets and jobs, watched to their end on standard error."""

from collections.abc import Iterator
from time import monotonic

from rich.progress import Progress, TaskID, TextColumn

from condensery import CondensedSet, Dataset, Job
from condensery.cli.group import Failed
from condensery.cli.output import bars, counted, duration, report
from condensery.cli.silence import explained
from condensery.client.fields import Event

#: Events that are not reported to a person.
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
        with explained(dataset, lambda line: report_above(progress, f"{dataset.id}: {line}")) as heard:
            for event in dataset.events():
                heard()
                if event.type != "progress":
                    continue
                done, total = event.data["images"], event.data.get("total")
                progress.update(task, completed=done, total=total)
                if progress.disable and monotonic() >= next_line:
                    next_line = monotonic() + SECONDS_BETWEEN_LINES
                    report(f"  reading {dataset.name}: {done}{f'/{total}' if total else ''} images")
    ready = dataset.wait()
    if ready.manifest is None:
        raise Failed(f"{ready.id} is ready, but has no manifest")
    train, test = (ready.manifest["splits"][name]["count"] for name in ("train", "test"))
    report(
        f"{ready.id}: ready, {train} training and {counted(test, 'test image')}, "
        f"{counted(len(ready.manifest['classes']), 'class', 'classes')}, {ready.image_size} px"
    )
    report(f"  {ready.manifest['split_rule']}")
    for warning in ready.manifest["report"]["warnings"]:
        report(f"  {warning['code']}: {warning['detail']}")
    return ready


def watch_set(row: CondensedSet) -> CondensedSet:
    """Once it is ready. Raises CondensedSetInvalid."""
    with bars() as progress:
        progress.add_task(f"reading {row.name}", total=None)
        with explained(row, lambda line: report_above(progress, f"{row.id}: {line}")) as heard:
            for _ in row.events():
                heard()
    ready = row.wait()
    report(
        f"{ready.id}: ready, {counted(ready.classes or 0, 'class', 'classes')}, "
        f"{counted(ready.decoded or 0, 'image')} a class, {ready.image_size} px"
    )
    return ready


def watch_job(job: Job) -> Job:
    """Once it has ended, however."""
    if job.ended:
        return job.refresh()
    with bars(TextColumn("{task.fields[note]}", markup=False)) as progress:
        bar = progress.add_task(job.state, total=None, note="", left=None)
        next_line = monotonic() + SECONDS_BETWEEN_LINES
        who = f"{job.id}:"
        with explained(job, lambda line: report_above(progress, f"{job.id}: {line}")) as heard:
            for event in job.events():
                heard()
                _move(event, progress, bar)
                for line in _lines(event):
                    report_above(progress, f"{who} {line}")
                    who = " "  # the id is half of a terminal's width
                if progress.disable and event.type == "progress" and monotonic() >= next_line:
                    next_line = monotonic() + SECONDS_BETWEEN_LINES
                    now = progress.tasks[bar]
                    report(f"  {now.description} {now.fields['note']}{_left(now.fields['left'])}".rstrip())
        progress.remove_task(bar)  # its last state is a line above it
    return job.refresh()


def report_above(progress: Progress, line: str) -> None:
    """A line that stays, above the bar."""
    progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(event: Event) -> Iterator[str]:
    """What stays to be read of it."""
    found = event.data
    if event.type == "estimate":
        yield f"condensing takes about {duration(found['seconds'])}, and is evaluated then"
    elif event.type == "evaluated":
        yield f"{found['method']}, network {found['repeat'] + 1}: {found['accuracy']:.1%}"
    elif event.type == "pooled":
        yield f"network {found['repeat'] + 1} of the pool is trained"
    elif event.type == "accuracy":
        yield f"after iteration {found['iteration']}, network {found['repeat'] + 1}: {found['accuracy']:.1%}"
    elif event.type not in _QUIET:
        yield event.type + (f" to {found['phase']}" if "phase" in found else "")


def _move(event: Event, progress: Progress, bar: TaskID) -> None:
    """As the worker reports it: one bar over the whole job, whatever its kind."""
    found = event.data
    if event.type == "progress":
        progress.update(
            bar, description=found["phase"], completed=found["done"], total=found["total"],
            note=found["text"], left=found.get("seconds_left"),
        )  # fmt: skip
    elif event.type == "phase":
        progress.update(bar, description=found["phase"], note="")
    elif event.type not in (*_QUIET, "evaluated", "pooled", "accuracy"):
        progress.update(bar, description=event.type, note="")


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f", {duration(seconds)} left"
