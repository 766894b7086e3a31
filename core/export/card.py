"""README.md, the card that a person reads: what the set is, how it was made, how to load it, how good it is.

Text from users (names, protocol, limits) is escaped, so that it can form no markup.
"""

import re
from collections.abc import Mapping
from typing import Any

from core.export.condensed import CondensedSet, canonical_json

# Three lines a format, run as they stand by the tests.
LOADING = {
    "safetensors": [
        "from safetensors.numpy import load_file",
        'tensors = load_file("condensed.safetensors")',
        'images, labels = tensors["images"], tensors["labels"]',
    ],
    "npz": [
        "import numpy as np",
        'arrays = np.load("condensed.npz", allow_pickle=False)',
        'images, labels = arrays["images"], arrays["labels"]',
    ],
    "pt": [
        "import torch",
        'content = torch.load("condensed.pt", weights_only=True)',
        'images, labels = content["data"][0]',
    ],
    "png": [
        "from torchvision.datasets import ImageFolder",
        'dataset = ImageFolder("condensed-png")  # the unpacked zip',
        "image, label = dataset[0]",
    ],
}


def readme(condensed: CondensedSet) -> str:
    """The card as Markdown."""
    card = condensed.card
    count, channels, height, width = condensed.images_NCHW.shape
    per_class = condensed.images_per_class
    spread = str(per_class[0]) if len(set(per_class)) == 1 else f"{min(per_class)} to {max(per_class)}"
    source = card["source"]
    sections = [
        f"# Condensed set of {_plain(source['name'])}",
        f"{count} synthetic images for {len(condensed.classes)} classes, {spread} a class, {channels} × "
        f"{height} × {width} (channels × height × width), made by {_plain(card['created_by'])}. They are not "
        "photographs: their pixels are optimised to stand for many images of their class in training.",
        "## Source",
        f"{_plain(source['name'])}, SHA-256 `{_code(source['sha256'])}`.",
        "## How it was made",
        _fenced("json", canonical_json({k: card[k] for k in ("config", "engine", "seeds")}, indent=2)),
        "## How to load it",
        *[f"{name}:\n\n{_fenced('python', chr(10).join(lines))}" for name, lines in LOADING.items()],
        _empty_classes(per_class),
        "## Normalisation",
        f"Mean {_numbers(condensed.mean)}, standard deviation {_numbers(condensed.std)} by channel, for "
        "pixels in [0, 1]. In safetensors, npz and pt the pixels are normalised float32: train on "
        "them as they are, and normalise the test images as (pixel - mean) / std. `x * std + mean` is the "
        "way back.",
        "The PNG files are not normalised, and lossy: pixels were clamped to [0, 1] and rounded to 8 bits, a "
        "change of at most half a grey level within the range. "
        f"{100 * condensed.clamped_fraction():.2f} % of the values lay outside it. For published figures use "
        "an exact format." + (" ImageFolder turns grey images into RGB." if channels == 1 else ""),
        "## Results",
        *_results(card["evaluation"]),
        "## Limits",
        "".join(f"- {_plain(limit)}\n" for limit in card["evaluation"]["limits"])
        + "- A network trained on a condensed set is weaker than one trained on the whole source.\n"
        "- Images were fitted to one family of networks; another family may gain less.\n"
        "- The licence and the biases of the source apply to what is made from it.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


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
        f"Mean ± standard deviation over n networks. Protocol: {_plain(evaluation['protocol'])}",
    ]


def _empty_classes(per_class: tuple[int, ...]) -> str:
    if all(per_class):
        return ""
    return (
        f"{per_class.count(0)} of the classes have no image. Give ImageFolder `allow_empty=True`: their "
        "empty folders keep the labels of the others in place."
    )


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


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
