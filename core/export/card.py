"""README.md, the card that a person reads: what the set is, how it was made, how to load it, how good it is.

Text from users (names, protocol, limits) is escaped, so that it can form no markup.
"""

import re
from collections.abc import Mapping
from typing import Any

from core.export.collages import HOW
from core.export.condensed import CondensedSet, canonical_json
from core.export.writer import loading, writers


def readme(condensed: CondensedSet) -> str:
    """The card as Markdown."""
    card = condensed.card
    count, channels, height, width = condensed.images_NCHW.shape
    per_class = condensed.images_per_class
    spread = str(per_class[0]) if len(set(per_class)) == 1 else f"{min(per_class)} to {max(per_class)}"
    source = card["source"]
    normalised = [writer.normalised for _, writer in writers() if writer.normalised]
    beside_png = [writer.eight_bit for _, writer in writers() if writer.eight_bit]
    sections = [
        f"# Condensed set of {_plain(source['name'])}",
        f"{count} synthetic images for {len(condensed.classes)} classes, {spread} a class, {channels} × "
        f"{height} × {width} (channels × height × width), {_stored(condensed)}"
        f"made by {_plain(card['created_by'])}. They are not photographs: their pixels are "
        "optimised to stand for many images of their class in training.",
        "## Source",
        f"{_plain(source['name'])}, content SHA-256 `{_code(source['sha256'])}`. Licence: "
        f"{_plain(source['license'] or 'not stated')}.",
        "## How it was made",
        _fenced("json", canonical_json({k: card[k] for k in ("config", "engine", "seeds")}, indent=2)),
        _compute(card["compute"]),
        "## How to load it",
        *[
            f"{name}:\n\n{_fenced('python', chr(10).join(lines))}"
            for name, lines in loading(condensed).items()
        ],
        *_caveats(channels, per_class),
        *_collages(condensed),
        "## Normalisation",
        f"Mean {_numbers(condensed.mean)}, standard deviation {_numbers(condensed.std)} by channel, for "
        f"pixels in [0, 1]. In {_and(normalised)} the pixels "
        "are normalised float32, the same bits in each: train on them as they are, and normalise the test "
        "images as (pixel - mean) / std. `x * std + mean` is the way back.",
        f"PNG files, in {_and(beside_png)} too, are not normalised, and lossy: pixels "
        "were clamped to [0, 1] and rounded to 8 bits, a change of at most half a grey level within the "
        f"range. {100 * condensed.clamped_fraction():.2f} % of the values lay outside it. Divide by 255 and "
        "normalise before training; what the loss costs is `png` under Results. For published figures use "
        "an exact format.",
        "## Results",
        *_results(card["evaluation"]),
        "## Limits",
        "".join(f"- {_plain(limit)}\n" for limit in card["evaluation"]["limits"])
        + "- A network trained on a condensed set is weaker than one trained on the whole source.\n"
        "- Images were fitted to one family of networks; another family may gain less.\n"
        "- The licence and the biases of the source apply to what is made from it.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _stored(condensed: CondensedSet) -> str:
    if condensed.collages is None:
        return ""
    factor, count = condensed.collages.factor, len(condensed.collages.labels_N)
    per_class = condensed.as_stored().images_per_class
    spread = str(per_class[0]) if len(set(per_class)) == 1 else f"{min(per_class)} to {max(per_class)}"
    return f"decoded from {count} stored ones, {spread} a class, each a collage of {factor} × {factor}, "


def _collages(condensed: CondensedSet) -> list[str]:
    if condensed.collages is None:
        return []
    return [
        "## Stored images",
        f"Images per class (IPC) are counted as they are stored. {HOW} Here f is "
        f"{condensed.collages.factor}. Every format has the images decoded, to be trained on as they are; "
        "the stored ones are `stored` and `stored_labels` in safetensors and NPZ, `stored` in PT, the split "
        "`stored` in Parquet, `__stored__` and `__stored_labels__` in WebDataset, and the files `stored-…` "
        "beside the folders of PNG files. The preview shows them.",
    ]


def _results(evaluation: Mapping[str, Any]) -> list[str]:
    if not evaluation["results"]:
        return ["Not evaluated."]
    rows = ["| trained on | network | test accuracy, % | n |", "|---|---|---|---|"]
    for row in evaluation["results"]:
        mean, std = row["accuracy_mean"], row["accuracy_std"]
        accuracy = f"{100 * mean:.2f}" if std is None else f"{100 * mean:.2f} ± {100 * std:.2f}"
        rows.append(f"| {_plain(row['images'])} | {_plain(row['network'])} | {accuracy} | {row['n']} |")
    return [
        "\n".join(rows),
        "`condensed` is this set as its exact formats hold it, `png` the same as PNG files hold it; every "
        "other row is real images of the source. Mean ± sample standard deviation over n networks.",
        f"Protocol: {_plain(evaluation['protocol'])}",
    ]


def _compute(compute: Mapping[str, Any]) -> str:
    if compute["flops"] is None:
        return "How many FLOPs the condensation took is not known."
    each = compute["flops_per_iteration"]
    pool = compute.get("pool_flops")
    trained = "" if pool is None else f"The networks that it matches in take {pool:,} to train, once. "
    an_iteration = "" if each is None else f", {each:,} an iteration"
    return (
        f"The condensation takes {compute['flops']:,} FLOPs{an_iteration}: convolutions and matrix "
        "products, a multiplication and an addition counted as two, by the shapes that the configuration "
        f"asks for. {trained}The evaluation is not in them. How long it took is in "
        "the job, under `result.seconds`, and not here: equal runs give equal files."
    )


def _caveats(channels: int, per_class: tuple[int, ...]) -> list[str]:
    """What a reader of the PNG files may stumble on."""
    found = []
    if channels == 1:
        found.append(
            'By itself ImageFolder turns grey images into RGB; `convert("L")` keeps the one channel.'
        )
    if channels == 4:
        found.append(
            'By itself ImageFolder turns images into RGB and drops their fourth channel; `convert("RGBA")` '
            "keeps the four. The preview shows the images on white."
        )
    if not all(per_class):
        found.append(
            f"{per_class.count(0)} of the classes have no image: with `allow_empty` their empty folders keep "
            "the labels of the others in place."
        )
    return found


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _and(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def _fenced(language: str, text: str) -> str:
    """A code block whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _code(text: str) -> str:
    return re.sub(r"[`\s]", "", str(text))


def _plain(text: str) -> str:
    """One line, with everything that Markdown or HTML would read as markup escaped."""
    line = " ".join(str(text).split())
    return re.sub(r"([\\`*_\[\]<>|#&!])", r"\\\1", line)
