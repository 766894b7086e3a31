"""What a caller says of an uploaded set, what is known of the data set, and what comes of it.

Plain dataclasses without numpy, so that a route can fill and show them.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from core.condensed.published.layouts import Space

Severity: TypeAlias = Literal["refuse", "ask", "note"]
LabelRule: TypeAlias = Literal["class-major", "argmax"]

UNCLEAR = "condensed_set_unclear"
"""The code of a set whose questions are open."""

TOGETHER = {"mean": ("std",)}
"""By the field of `Stated` that a question names, those that have to be stated with it."""

INSTEAD = {"mean": "of_data_set"}
"""What may be stated in place of those; never both."""

SETTLED_INSTEAD = ("statistics_unstated",)
"""Codes of questions that this settles. Others doubt the data set's own values: they want numbers."""


@dataclass(frozen=True, kw_only=True)
class Stated:
    """The caller's word; it overrides what the file looks like. None: nothing was said.

    Attributes:
        space: what the pixels are.
        mean, std: what they are (or are to be) normalised by, a value a channel, of pixels in [0, 1].
        of_data_set: the same as stating the data set's own mean and std.
        factor: f of a collage of f × f tiles an image that is still to be decoded; 1: none, or decoded.
        experiment: which of several sets in one file, from 0.
        labels: "class-major" if none are in the file: N / classes images of class 0, then of class 1, …;
            "argmax" to make hard labels of soft ones, which loses what they say beyond it.
        class_order: class_order[k] is the index, in the data set, of the class that the file calls k.
    """

    space: Space | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    of_data_set: bool = False
    factor: int | None = None
    experiment: int | None = None
    labels: LabelRule | None = None
    class_order: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Of the data set that the condensed set stands for; sides in pixels, mean and std of those in [0, 1]."""

    classes: tuple[str, ...]
    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something noticed.

    Attributes:
        severity: "refuse" ends it; "ask" waits for `answer`; "note" is only said.
        code: stable.
        detail: a sentence with the numbers.
        answer: the field of `Stated` that settles a question.
    """

    severity: Severity
    code: str
    detail: str
    answer: str | None = None
