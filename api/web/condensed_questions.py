"""What an unclear condensed set asks, as a form, and the set that the answers make of the same upload."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from api.schemas.condensed_sets import CondensedSetCreate, Statement
from api.web.schema_form import Setting, parse, settings_of
from core.catalogue import rows
from core.condensed.published.stated import INSTEAD, SETTLED_INSTEAD, TOGETHER, UNCLEAR
from core.condensed.rows import create_from_upload
from core.db.models import CondensedSet, Dataset
from core.errors import Conflict
from core.settings import Settings

_OFFERED = 50


@dataclass(frozen=True, kw_only=True)
class Question:
    """Findings that name the same field: all `fields` settle them, or in their place `instead` alone."""

    name: str
    findings: list[dict[str, Any]]
    fields: list[Setting]
    instead: Setting | None = None

    @property
    def asked(self) -> list[Setting]:
        return self.fields if self.instead is None else [self.instead, *self.fields]

    def unanswered(self, values: Mapping[str, Any]) -> dict[str, str]:
        """By field, why the question is still open."""
        alone = self.instead
        empty = [one for one in self.fields if not values[one.name]]
        if alone is None:
            return {one.name: "This has to be stated." for one in empty}
        if not values[alone.name]:
            return {one.name: f"Fill this in, or tick “{alone.label}”." for one in empty}
        if len(empty) == len(self.fields):
            return {}
        others = " and ".join(one.label for one in self.fields)
        return {alone.name: f"Tick this, or fill in {others}: not both."}


def stands_for(session: Session, owner: str) -> Setting:
    """The choice of the data set that a condensed set stands for, among those that are ready."""
    [asked] = [one for one in settings_of(CondensedSetCreate) if one.name == "dataset_id"]
    ready = (Dataset.state == "ready",)
    found, more = rows.page(session, Dataset, owner, *ready, limit=_OFFERED, after=None)
    rest = f" These are the newest {_OFFERED}: an older one is named on the command line." if more else ""
    none = " There is none yet that is ready." if not found else ""
    return replace(
        asked,
        kind="select",
        label="the data set that it stands for",
        help=f"{asked.help}{rest}{none}",
        choices=tuple(one.id for one in found),
        labels=tuple(_described(one) for one in found),
        empty="not stated",
    )


def _described(dataset: Dataset) -> str:
    facts = dataset.manifest or {}
    shape = f"{len(facts.get('classes', ()))} classes, {dataset.image_size} px"
    return f"{dataset.name} ({shape}, {dataset.created_at:%Y-%m-%d})"


def questions_of(session: Session, row: CondensedSet) -> list[Question]:
    """One for each field that its findings name; none if it is not unclear."""
    problem = row.problem or {}
    if problem.get("code") != UNCLEAR:
        return []
    named: dict[str, list[dict[str, Any]]] = {}
    for one in problem.get("findings", ()):
        if one.get("severity") == "ask" and one.get("answer"):
            named.setdefault(one["answer"], []).append(one)
    known = {one.name: one for one in settings_of(Statement)}
    if "dataset_id" in named:
        known["dataset_id"] = stands_for(session, row.owner)
    return [_question(findings, name, known) for name, findings in named.items() if name in known]


def _question(findings: list[dict[str, Any]], name: str, known: Mapping[str, Setting]) -> Question:
    # What settles one of them and leaves another open would only be asked about again.
    alone = all(one.get("code") in SETTLED_INSTEAD for one in findings)
    instead = known[INSTEAD[name]] if alone and name in INSTEAD else None
    fields = [known[one] for one in (name, *TOGETHER.get(name, ()))]
    return Question(
        name=name,
        findings=findings,
        fields=[replace(one, required=instead is None, empty="choose one") for one in fields],
        instead=instead,
    )


def answered(
    questions: Sequence[Question], values: Mapping[str, Any], row: CondensedSet
) -> tuple[Statement | None, dict[str, str]]:
    """All that is stated of the set with these answers, or by field what is wrong with them."""
    asked = [one for question in questions for one in question.asked]
    said = {name: one for name, one in values.items() if name != "dataset_id"}
    statement, faults = parse(Statement, said, asked, _earlier(questions, row))
    for question in questions:
        faults |= question.unanswered(values)
    return (None if faults else statement), faults


def _earlier(questions: Sequence[Question], row: CondensedSet) -> dict[str, Any]:
    """Less what is asked anew, or would contradict the answer."""
    asked = {one.name for question in questions for one in question.fields}
    asked |= {INSTEAD[question.name] for question in questions if question.name in INSTEAD}
    return {name: value for name, value in (row.stated or {}).items() if name not in asked}


def make_anew(
    session: Session,
    row: CondensedSet,
    statement: Statement,
    dataset_id: str | None,
    *,
    idempotency_key: str | None,
    settings: Settings,
) -> CondensedSet:
    """The set of the same upload, called and licensed as it was.

    Raises:
        Conflict: the upload is gone.
        NotFound, Conflict, QuotaExceeded: as `create_from_upload`.
    """
    made, _ = create_from_upload(
        session,
        row.owner,
        upload_id=require_upload(row),
        name=row.name if row.name != row.id else None,
        license=row.license,
        dataset_id=dataset_id or row.dataset_id,
        stated=statement.model_dump(exclude_defaults=True),
        idempotency_key=idempotency_key,
        settings=settings,
    )
    return made


def require_upload(row: CondensedSet) -> str:
    """Raises Conflict: it is gone."""
    if row.upload_id is None:
        raise Conflict(f"the upload of {row.id} is gone: send the file again", code="upload_gone")
    return row.upload_id


def command(questions: Sequence[Question], row: CondensedSet) -> str:
    """The same on the command line, with … where the answers go."""
    said = ["condensery", "sets", "add", row.upload_id or "FILE"]
    if row.name != row.id:
        said += ["--name", row.name]
    if row.license is not None:
        said += ["--license", row.license]
    if row.dataset_id is not None:
        said += ["--dataset", row.dataset_id]
    for name, value in _earlier(questions, row).items():
        said += ["--state", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    asked = [one.name for question in questions for one in question.fields]
    open_ones = ["--dataset ds_…" if one == "dataset_id" else f"--state {one}=…" for one in asked]
    return " ".join([shlex.join(said), *open_ones])
