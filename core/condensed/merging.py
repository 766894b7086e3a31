"""Which condensed sets can become one, and the classes of the whole: by their rows, without pixels."""

from collections.abc import Sequence
from typing import Final

from core.db.models import CondensedSet
from core.errors import InvalidRequest

#: Sets that one merge may name.
MOST_SETS: Final = 100
_NAMED = 3


def require_joinable(sets: Sequence[CondensedSet]) -> None:
    """Sets of one form, shape and normalisation, of which any two have equal or disjoint classes.

    Raises:
        InvalidRequest: `facts_unknown`, `form_differs`, `shape_mismatch`, `normalisation_differs` or
            `classes_overlap`; it names the first set that does not fit, and what differs.
    """
    first = sets[0]
    for place, one in enumerate(sets):
        if one.manifest is None or one.image_size is None:
            raise _refused(
                place, "facts_unknown",
                f"{one.id} is older than condensed sets are, and its data set was deleted: its classes and "
                "normalisation are known from its files alone. Upload its condensed.safetensors as a set",
            )  # fmt: skip
        if one.form != first.form:
            detail = f"{one.id} stores {one.form}, {first.id} {first.form}: merge sets of one form"
            raise _refused(place, "form_differs", detail)
        for name, unit in (("image_size", "px"), ("channels", "channels")):
            given, wanted = getattr(one, name), getattr(first, name)
            if given != wanted:
                raise _refused(
                    place, "shape_mismatch",
                    f"{one.id} has images of {given} {unit}, {first.id} of {wanted}: merge sets of one shape",
                )  # fmt: skip
        for name in ("mean", "std"):
            given, wanted = one.manifest[name], (first.manifest or {})[name]
            if given != wanted:
                raise _refused(
                    place, "normalisation_differs",
                    f"{one.id} is normalised with {name} {_numbers(given)}, {first.id} with "
                    f"{_numbers(wanted)}: merge sets of one normalisation",
                )  # fmt: skip
        for other in sets[:place]:
            _require_fitting_classes(place, one, other)


def united_classes(names: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Every class once, in the order in which the sets bring them."""
    return tuple(dict.fromkeys(name for each in names for name in each))


def _require_fitting_classes(place: int, one: CondensedSet, other: CondensedSet) -> None:
    ours, theirs = set((one.manifest or {})["classes"]), set((other.manifest or {})["classes"])
    shared = sorted(ours & theirs)
    if not shared or ours == theirs:
        return
    shown = ", ".join(map(repr, shared[:_NAMED])) + (" …" if len(shared) > _NAMED else "")
    raise _refused(
        place, "classes_overlap",
        f"{one.id} and {other.id} share {len(shared)} of their {len(ours)} and {len(theirs)} classes "
        f"({shown}): merge sets whose classes are all the same or all different",
    )  # fmt: skip


def _refused(place: int, code: str, detail: str) -> InvalidRequest:
    return InvalidRequest(detail, code=code, pointer=f"/condensed_set_ids/{place}")


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
