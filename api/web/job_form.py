"""The form of a new job."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from api.schemas.jobs import CREATE
from api.web import schema_form
from api.web.schema_form import Setting
from core.strict import Strict

#: Not asked for: it is where the form was opened.
GIVEN = ("kind", "dataset_id", "condensed_set_id")


def settings(kind: str, costs: Mapping[str, str]) -> list[Setting]:
    """Of the whole form, those of nested objects named with a dot.

    Args:
        costs: what people are told of some besides the schema's own words: what a choice costs.
    """
    found = [one for one in schema_form.settings_of(CREATE[kind]) if one.name not in GIVEN]
    return [replace(one, help=f"{one.help} {costs[one.name]}") if one.name in costs else one for one in found]


def parse(
    values: Mapping[str, str | list[str]], asked: Sequence[Setting], given: Mapping[str, str]
) -> tuple[Strict | None, dict[str, str]]:
    """The job that is asked for, or by setting what is wrong with it.

    Args:
        given: its kind, and what it works on.
    """
    return schema_form.parse(CREATE[given["kind"]], values, asked, given)
