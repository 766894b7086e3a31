"""What pixel values say against what they are taken for: space, statistics, whitening, collages."""

from collections.abc import Iterator

import numpy as np

from core.condensed.published.found import Found
from core.condensed.published.layouts import LIST, OWN, Space
from core.condensed.published.measured import Measured, likely_factor, whiteness
from core.condensed.published.stated import Facts, Finding, Severity, Stated
from core.condensed.published.statistics import Statistics, agree, candidates, numbers

FAR_MEAN = 0.3
"""Channel means of plain sets lie nearer to 0 in their own normalisation."""

ENDS = 0.03
"""How near the extreme values of a set of nearly real images come to a black and a white pixel."""


def effective_space(found: Found, stated: Stated) -> Space:
    """The caller's word, else what was found."""
    return stated.space or found.space


def statistics_of(found: Found, stated: Stated, facts: Facts) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std that the set is, or is to be, normalised by: as stated, as in the file, the data set's."""
    if stated.mean is not None and stated.std is not None:
        return stated.mean, stated.std
    if found.mean is not None and found.std is not None and not stated.of_data_set:
        return found.mean, found.std
    return facts.mean, facts.std


def check_pixels(found: Found, stated: Stated, facts: Facts) -> Iterator[Finding]:
    """Findings on the values, of a set with as many channels as the data set."""
    if found.measured.broken == len(found.images_NCHW):
        return
    yield from _space(found, stated)
    space = effective_space(found, stated)
    if space == "normalised":
        yield from _normalised(found, stated, facts)
    elif space in ("unit", "bytes"):
        yield from _outside(found, space)
    yield from _collage(found, stated)


def _space(found: Found, stated: Stated) -> Iterator[Finding]:
    space = effective_space(found, stated)
    seen = _seen(found.measured)
    if space == "whitened":
        if stated.space == "whitened":
            yield Finding(
                severity="refuse", code="whitened",
                detail="The images are ZCA-whitened. A network trained on them must be tested on images"
                " whitened by the same matrix, which the file does not hold and the evaluation does not"
                " compute: its accuracies would be meaningless.",
            )  # fmt: skip
        else:
            yield _ask_space(
                "looks_whitened", f"The images look ZCA-whitened: {_correlations(found.measured)}. {seen}"
            )
        return
    if stated.space is not None:
        if stated.space != found.space and found.space != "unknown":
            yield Finding(
                severity="note", code="space_overridden",
                detail=f"Taken as {stated.space}, as stated; the values look {found.space}. {seen}",
            )  # fmt: skip
        return
    if space == "unknown":
        yield _ask_space("space_unknown", f"The values do not show what the pixels are. {seen}")
    elif found.layout is OWN:
        return
    elif found.layout.space not in ("unknown", space):
        yield _ask_space(
            f"looks_{space}",
            f"{found.layout.made_by} save pixels as {found.layout.space}, but these look {space}. {seen}",
        )
    elif found.layout.space == "unknown" and space == "normalised":
        yield _ask_space(
            "space_open",
            f"Sets of this layout ({found.layout.made_by}) are normalised, or normalised and then"
            f" ZCA-whitened. Here {_correlations(found.measured)}. {seen}",
        )
    elif space == "normalised" and whiteness(found.measured) == "perhaps":
        yield _ask_space(
            "perhaps_whitened", f"The images may be ZCA-whitened: {_correlations(found.measured)}. {seen}"
        )


def _normalised(found: Found, stated: Stated, facts: Facts) -> Iterator[Finding]:
    measured = found.measured
    mean, std = statistics_of(found, stated, facts)
    if _twice(measured, mean, std):
        yield Finding(
            severity="refuse", code="normalised_twice",
            detail=f"The pixels were normalised twice: by channel, their mean is {numbers(measured.mean)} and"
            f" their standard deviation {numbers(measured.std)}. Normalised once they would be near 0 and 1;"
            f" twice, near {numbers(tuple(-m / s for m, s in zip(mean, std, strict=True)))} and"
            f" {numbers(tuple(1 / s for s in std))}.",
        )  # fmt: skip
        return
    if found.layout is OWN and stated.mean is None and not stated.of_data_set:
        return
    known = candidates(facts.channels)
    named = stated.mean is not None
    severity: Severity = "note" if named else "ask"
    if not named and not stated.of_data_set:
        same = [one for one in known if agree(one.mean, facts.mean)]
        # One published choice, which is the data set's own: there is nothing to ask.
        if not (same and all(agree(one.std, facts.std) for one in same) and len(same[0].mean) == 1):
            yield _statistics(
                "ask", "statistics_unstated",
                "The file does not say which mean and standard deviation its pixels are normalised by."
                f" The data set's own are {numbers(facts.mean)} and {numbers(facts.std)}; published code uses"
                f" {_list(known)}."
                " State mean and std, or of_data_set.",
            )  # fmt: skip
    far = [value for value in measured.mean if abs(value) > FAR_MEAN]
    if far:
        yield _statistics(
            severity, "means_far",
            f"By channel the set's mean is {numbers(measured.mean)}; normalised by its own data's statistics"
            f" a set lies within {FAR_MEAN} of 0. Are {numbers(mean)} and {numbers(std)} those that it was"
            " made with?",
        )  # fmt: skip
    touched = [one for one in known if _touches(measured, one)]
    if touched and not any(agree(one.mean, mean) and agree(one.std, std) for one in touched):
        yield _statistics(
            severity, "another_sets_statistics",
            f"The extreme values are those of black and white normalised by {_list(tuple(touched))}, not by"
            f" {numbers(mean)} and {numbers(std)}. {_seen(measured)}",
        )  # fmt: skip
    pixels_low = min(low * s + m for low, m, s in zip(measured.low, mean, std, strict=True))
    pixels_high = max(high * s + m for high, m, s in zip(measured.high, mean, std, strict=True))
    if pixels_low < -0.01 or pixels_high > 1.01:
        yield Finding(
            severity="note", code="beyond_real_pixels",
            detail=f"As pixels the values run from {pixels_low:.2f} to {pixels_high:.2f}; real ones run from"
            " 0 to 1. An optimised set may leave that range, and is not clamped.",
        )  # fmt: skip


def _twice(measured: Measured, mean: tuple[float, ...], std: tuple[float, ...]) -> bool:
    """Normalising what has mean 0 and deviation 1 gives -mean/std and 1/std in every channel."""
    shifts = [found * s / -m for found, m, s in zip(measured.mean, mean, std, strict=True) if m]
    wide = all(found > 0.6 / s for found, s in zip(measured.std, std, strict=True))
    return wide and sum(shifts) > 0.25 * len(shifts)


def _touches(measured: Measured, statistics: Statistics) -> bool:
    return all(
        abs(low - black) <= ENDS and abs(high - white) <= ENDS
        for low, high, (black, white) in zip(measured.low, measured.high, statistics.box(), strict=True)
    )


def _outside(found: Found, space: Space) -> Iterator[Finding]:
    top = 255.0 if space == "bytes" else 1.0
    images = found.images_NCHW
    outside = sum(int(np.count_nonzero((image < 0) | (image > top))) for image in images)
    if outside:
        yield Finding(
            severity="note", code="outside_range",
            detail=f"{100 * outside / images.size:.2f} % of the values lie outside 0 to {top:g}; they are not"
            " clamped.",
        )  # fmt: skip


def _collage(found: Found, stated: Stated) -> Iterator[Finding]:
    if stated.factor is not None or found.layout is OWN:
        return
    factor = likely_factor(found.measured)
    seams = ", ".join(f"{value:.2f} for f = {key}" for key, value in found.measured.seams.items())
    if factor > 1:
        detail = (
            f"The images look like collages of {factor} × {factor} tiles: steps at the seams over"
            f" steps elsewhere are {seams} (plain images: about 1)."
        )
    elif found.layout is LIST:
        detail = (
            f"Sets of this layout ({found.layout.made_by}) are mostly collages of f × f tiles, decoded in"
            " training: f = 2, of ImageNet 3. Optimisation may have smoothed the seams: steps there, over"
            f" steps beside them, are {seams}."
        )
    else:
        return
    yield Finding(
        severity="ask", code="undecoded_collage", answer="factor",
        detail=f"{detail} State factor: f to decode them, 1 if they are no collages or decoded already.",
    )  # fmt: skip


def _ask_space(code: str, detail: str) -> Finding:
    return Finding(
        severity="ask", code=code, answer="space",
        detail=f"{detail} State space: normalised, unit (0 to 1), bytes (0 to 255) or whitened.",
    )  # fmt: skip


def _statistics(severity: Severity, code: str, detail: str) -> Finding:
    return Finding(severity=severity, code=code, detail=detail, answer="mean" if severity == "ask" else None)


def _seen(measured: Measured) -> str:
    return (
        f"By channel they run from {numbers(measured.low)} to {numbers(measured.high)}, mean"
        f" {numbers(measured.mean)}, standard deviation {numbers(measured.std)}."
    )


def _correlations(measured: Measured) -> str:
    colour = "" if measured.colour is None else f", of red and green {measured.colour:.2f} (.87; .62 to .76)"
    return (
        f"the correlation of neighbouring pixels is {measured.neighbour:.2f} (of real images about .93,"
        f" whitened ones .39 to .64, noise 0){colour}"
    )


def _list(known: tuple[Statistics, ...]) -> str:
    return "; ".join(f"{one.name} ({numbers(one.mean)} / {numbers(one.std)}: {one.used_by})" for one in known)
