"""Several sets become one: the arrays, and the card of the whole (who may: core/condensed/merging.py)."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from core.condensed.merging import united_classes
from core.export.collages import Collages
from core.export.condensed import CondensedSet, canonical_json
from core.version import __version__


def joined(sets: Sequence[CondensedSet], *, name: str, license: str | None) -> CondensedSet:
    """Class after class in the order in which the sets bring them, a class's images set after set, as they
    are stored.

    Args:
        sets: of one form, shape and normalisation; of any two, the classes are equal or disjoint.
        name, license: for the card, which has what each of the sets' own says of its making.
    """
    classes = united_classes([one.classes for one in sets])
    place = {each: number for number, each in enumerate(classes)}
    stored = [one.as_stored() for one in sets]
    labels_N = np.concatenate(
        [np.array([place[each] for each in one.classes], np.int64)[one.labels_N] for one in stored]
    )
    order_N = np.argsort(labels_N, kind="stable")
    images_NCHW, labels_N = np.concatenate([one.images_NCHW for one in stored])[order_N], labels_N[order_N]
    collages = None
    if sets[0].collages is not None:
        factor = sets[0].collages.factor
        collages = Collages(images_NCHW=images_NCHW, labels_N=labels_N, factor=factor)
        # What each was decoded to, tile by tile: the same images as from decoding the whole.
        tiles = [one.images_NCHW.reshape(factor**2, -1, *images_NCHW.shape[1:]) for one in sets]
        by_tile = np.concatenate(tiles, axis=1)[:, order_N]
        images_NCHW, labels_N = by_tile.reshape(-1, *images_NCHW.shape[1:]), np.tile(labels_N, factor**2)
    return CondensedSet(
        images_NCHW=images_NCHW,
        labels_N=labels_N,
        collages=collages,
        classes=classes,
        mean=sets[0].mean,
        std=sets[0].std,
        card=_card(sets, name, license),
    )


def _card(sets: Sequence[CondensedSet], name: str, license: str | None) -> dict[str, Any]:
    """No id and no time: the same sets give the same card."""
    sources = [dict(one.card["source"]) for one in sets]
    digests = {source["sha256"] for source in sources}
    flops = [one.card["compute"]["flops"] for one in sets]
    return {
        "created_by": f"condensery {__version__}",
        "source": {
            "name": name,
            "sha256": digests.pop() if len(digests) == 1 else _digest(sources),
            "license": license,
        },
        "config": {
            "merged_of": [
                {
                    **{field: one.card[field] for field in ("created_by", "source", "config", "engine")},
                    "images_per_class": dict(zip(one.classes, one.as_stored().images_per_class, strict=True)),
                }
                for one in sets
            ]
        },
        "seeds": {"merged_of": [one.card["seeds"] for one in sets]},
        "engine": {"version": __version__, "torch": None, "device": None},
        "compute": {"flops": None if None in flops else sum(flops), "flops_per_iteration": None},
        "evaluation": {
            "protocol": "",
            "limits": [
                f"Merged of {len(sets)} sets: accuracies of each, if there are any, are not the whole's."
            ],
            "results": [],
        },
    }


def _digest(sources: Sequence[Any]) -> str:
    """SHA-256 of what the parts state of their sources, as JSON."""
    return hashlib.sha256(canonical_json(list(sources)).encode()).hexdigest()
