"""What the page of a job shows besides what all jobs have: a module a kind, by its name, and its template.

Each has `shown(session, storage, row, job, dataset)`: what `templates/kinds/<kind>.html` needs under `own`,
with the `scripts` of static/ that the page loads. Of the form of a new job: `FIRST`, the settings that are
not behind "all settings", `COSTS`, what some of them cost in words, `suggested(report)`, values, and
`amounts(spec)`, what is counted beside the networks that are trained.
"""

from importlib import import_module
from types import ModuleType


def page_of(kind: str) -> ModuleType:
    return import_module(f"{__name__}.{kind}")
