"""Data sets and jobs, watched to their end on standard error."""

from rich.progress import Progress, TaskID, TextColumn

from condensery.cli.group import Failed
from condensery.cli.output import bars, duration, say
from condensery.client.fields import Event
from condensery.client.resources import Dataset, Job

#: Events that say nothing to a person.
_QUIET = ("progress", "checkpoint", "snapshot", "estimate", "phase")


def watch_dataset(dataset: Dataset) -> Dataset:
    """Once it is ready. Raises DatasetInvalid."""
    if dataset.state == "ready":
        return dataset
    with bars(TextColumn("{task.completed:,.0f} images")) as progress:
        task = progress.add_task(f"reading {dataset.name}", total=None)
        for event in dataset.events():
            if event.type == "progress":
                progress.update(task, completed=event.data["images"], total=event.data.get("total"))
    ready = dataset.wait()
    if ready.manifest is None:
        raise Failed(f"{ready.id} is ready, but has no manifest")
    splits = ready.manifest["splits"]
    say(
        f"{ready.id}: ready, {splits['train']['count']} training and {splits['test']['count']} test images, "
        f"{len(ready.manifest['classes'])} classes, {ready.image_size} px"
    )
    for warning in ready.manifest["report"]["warnings"]:
        say(f"  {warning['code']}: {warning['detail']}")
    return ready


def watch_job(job: Job) -> Job:
    """Once it has ended, however."""
    if job.ended:
        return job.refresh()
    with bars(TextColumn("{task.fields[note]}", markup=False)) as progress:
        task = progress.add_task(job.state, total=None, note="")
        for event in job.events():
            _show(event, progress, task)
            if event.type == "estimate":
                say_above(progress, f"{job.id}: condensing takes about {duration(event.data['seconds'])}")
            elif event.type == "evaluated":
                say_above(progress, f"  {event.data['method']}: {event.data['accuracy']:.1%}")
            elif event.type == "accuracy":
                say_above(
                    progress, f"  after iteration {event.data['iteration']}: {event.data['accuracy']:.1%}"
                )
            elif event.type not in _QUIET:
                phase = f" to {event.data['phase']}" if "phase" in event.data else ""
                say_above(progress, f"{job.id}: {event.type}{phase}")
    return job.refresh()


def say_above(progress: Progress, line: str) -> None:
    """A line that stays, above the bar."""
    progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _show(event: Event, progress: Progress, task: TaskID) -> None:
    found = event.data
    if event.type == "progress" and (now := found.get("evaluating")):
        progress.update(
            task, description=f"evaluating iteration {found['iteration']}", completed=now["epoch"],
            total=now["epochs"],
            note=f"network {now['network']}/{now['networks']}, epoch {now['epoch']}/{now['epochs']}",
        )  # fmt: skip
    elif event.type == "progress" and found.get("phase") == "condense":
        progress.update(
            task, description="condensing", completed=found["iteration"], total=found["iterations"],
            note=f"{found['iteration']}/{found['iterations']}, loss {found['loss']:.4g}",
        )  # fmt: skip
    elif event.type == "progress" and found.get("phase") == "evaluate":
        progress.update(
            task, description=f"evaluating {found.get('method', '')}", completed=found["epoch"],
            total=found["epochs"], note=f"epoch {found['epoch']}/{found['epochs']}",
        )  # fmt: skip
    elif event.type == "phase":
        progress.update(task, description=found["phase"], completed=0, total=None, note="")
    elif event.type not in (*_QUIET, "evaluated", "accuracy"):
        progress.update(task, description=event.type, note="")
