"""The card as Hugging Face's hub and `datasets` read it: YAML front matter, then the card for people."""

from typing import Any

from core.export.card import readme
from core.export.condensed import CondensedSet

# Of https://huggingface.co/docs/hub/repositories-licenses, less those of particular models.
LICENCES = frozenset((
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd", "bsd-2-clause", "bsd-3-clause",
    "bsd-3-clause-clear", "bsl-1.0", "c-uda", "cc", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0",
    "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0", "ecl-2.0", "epl-1.0", "epl-2.0",
    "etalab-2.0", "eupl-1.1", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0",
    "lgpl-lr", "lppl-1.3c", "mit", "mpl-2.0", "ms-pl", "ncsa", "odbl", "odc-by", "ofl-1.1", "osl-3.0",
    "pddl", "postgresql", "unknown", "unlicense", "wtfpl", "zlib",
))  # fmt: skip
SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
)


def hub_readme(condensed: CondensedSet, features: dict[str, dict[str, Any]]) -> str:
    """README.md of the Parquet archive, whose shards have the columns `features`."""
    count = len(condensed.labels_N)
    size = next((name for limit, name in SIZES if count < limit), "100M<n<1B")
    lines = [
        *_licence(condensed.card["source"]["license"]),
        f"pretty_name: {_quoted('Condensed set of ' + condensed.card['source']['name'])}",
        "task_categories:",
        "- image-classification",
        "size_categories:",
        f"- {size}",
        "tags:",
        "- dataset-condensation",
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        "    path: data/train-*",
        *(["  - split: stored", "    path: data/stored-*"] if condensed.collages is not None else []),
        "dataset_info:",
        "  features:",
        "  - name: image",
        "    dtype: image",
        "  - name: label",
        "    dtype:",
        "      class_label:",
        "        names:",
        *(f"          '{n}': {_quoted(name)}" for n, name in enumerate(features["label"]["names"])),
        "  - name: pixels",
        "    dtype:",
        "      array3_d:",
        f"        shape: {features['pixels']['shape']}",
        f"        dtype: {features['pixels']['dtype']}",
    ]
    return "\n".join(["---", *lines, "---", "", readme(condensed)])


def _licence(stated: str | None) -> list[str]:
    """The hub knows a licence by its identifier, and any other by a name."""
    if stated is None:
        return ["license: unknown"]
    identifier = "-".join(stated.lower().split())
    if identifier in LICENCES:
        return [f"license: {identifier}"]
    return ["license: other", f"license_name: {_quoted(stated)}"]


def _quoted(text: str) -> str:
    """A double-quoted YAML text on one line; what is not printable is escaped."""
    return '"' + "".join(map(_yaml_character, text)) + '"'


def _yaml_character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08X}"
