"""An uploaded file of whatever known layout becomes a set with a card of its own."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.condensed.published.found import Found
from core.condensed.published.limits import PublishedLimits
from core.condensed.published.read import read
from core.condensed.published.ready import Ready, to_arrays
from core.condensed.published.stated import UNCLEAR, Facts, Finding, Stated
from core.errors import DataError, JobError
from core.export.card import readme
from core.export.condensed import CondensedSet
from core.version import __version__

MOST_CHARACTERS = 200


@dataclass(frozen=True, kw_only=True)
class Uploaded:
    """A set, and what is to be known of the file."""

    condensed: CondensedSet
    noticed: Mapping[str, Any]


def read_upload(
    path: Path,
    work: Path,
    *,
    name: str,
    sha256: str,
    license: str | None,
    stated: Mapping[str, Any],
    facts: Facts | None,
    limits: PublishedLimits,
) -> Uploaded:
    """The set in a file.

    Args:
        work: an existing folder for what has to be expanded.
        name, sha256, license: of the upload, for the card.
        stated: fields of `Stated`, with lists where that has tuples.
        facts: of the data set that it stands for; None if the file alone is to say what it is.

    Raises:
        DataError: `condensed_set_unclear`, something has to be stated: `findings` says what; `corrupt_card`;
            or as core.condensed.published's `read` and `to_arrays`.
    """
    fields: dict[str, Any] = {
        field: tuple(value) if isinstance(value, list) else value for field, value in stated.items()
    }
    word = Stated(**fields)
    found = read(path, limits=limits, work=work, experiment=word.experiment)
    try:
        ready = to_arrays(found, word, facts or _by_itself(found), limits)
    except DataError as error:
        if error.code != "questions_open":
            raise
        raise DataError(
            f"{error.detail} Send the request again with the answers in the field stated.",
            code=UNCLEAR,
            **error.context,
        ) from error
    condensed = _with_card(found, ready, word, name=name, sha256=sha256, license=license)
    noticed = {
        "layout": found.layout.name,
        "layout_family": found.layout.letter,
        "findings": [asdict(one) for one in ready.notes],
    }
    return Uploaded(condensed=condensed, noticed=noticed)


def _by_itself(found: Found) -> Facts:
    """What our own formats say of the data set; others say too little."""
    if found.classes is None or found.mean is None or found.std is None:
        finding = Finding(
            severity="ask", code="data_set_unstated", answer="dataset_id",
            detail=f"A file of this layout ({found.layout.name}, as {found.layout.made_by} saves it) names "
            "neither its classes nor its normalisation: state dataset_id, the data set that it was made of.",
        )  # fmt: skip
        raise DataError(finding.detail, code=UNCLEAR, findings=[asdict(finding)])
    _, channels, height, width = found.images_NCHW.shape
    if height != width:
        raise DataError(
            f"the images are {height} × {width} (height × width) pixels; those of a set are square",
            code="unsupported_shape",
        )
    return Facts(
        classes=found.classes, channels=channels, height=height, width=width, mean=found.mean, std=found.std
    )


def _with_card(
    found: Found, ready: Ready, stated: Stated, *, name: str, sha256: str, license: str | None
) -> CondensedSet:
    arrays: dict[str, Any] = {
        "images_NCHW": ready.images_NCHW,
        "labels_N": ready.labels_N,
        "classes": ready.classes,
        "mean": ready.mean,
        "std": ready.std,
        "collages": ready.collages,
    }
    if found.card is None or stated != Stated(experiment=stated.experiment):
        card = _card(found, stated, name=name, sha256=sha256, license=license)
        return CondensedSet(**arrays, card=card)
    # The same images with the card that they came with. It is a stranger's: whatever writes it must be able
    # to, so it is written once here.
    try:
        card = dict(found.card)
        if license is not None:
            card["source"] = {**card["source"], "license": license}
        condensed = CondensedSet(**arrays, card=card)
        _check_texts(card["source"])
        readme(condensed)
    except (JobError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise DataError(
            f"the set's card is not as this service writes it: {error}", code="corrupt_card"
        ) from error
    return condensed


def _check_texts(source: Mapping[str, Any]) -> None:
    """Raises ValueError: a name or a licence is no text, or too long for a row."""
    for field, kind in (("name", str), ("license", str | None)):
        value = source[field]
        if not isinstance(value, kind) or len(value or "") > MOST_CHARACTERS:
            raise ValueError(f"the source's {field} is not text of at most {MOST_CHARACTERS} characters")


def _card(found: Found, stated: Stated, *, name: str, sha256: str, license: str | None) -> dict[str, Any]:
    """Provenance of what others made: what was stated, and nothing that is not known."""
    answers = {field: value for field, value in asdict(stated).items() if value not in (None, False)}
    return {
        "created_by": f"others, and read by condensery {__version__}",
        "source": {"name": name, "sha256": sha256, "license": license},
        "config": {
            "layout": found.layout.name,
            "layout_family": found.layout.letter,
            "made_by": found.layout.made_by,
            "experiment": found.experiment,
            "stated": answers,
        },
        "seeds": {},
        "engine": {"version": None, "torch": None, "device": None},
        "compute": {"flops": None, "flops_per_iteration": None},
        "evaluation": {
            "protocol": "",
            "limits": [
                "It was made elsewhere: how, with which seeds and on which data is as its source says."
            ],
            "results": [],
        },
    }
