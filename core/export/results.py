"""A results card: what was evaluated, how, and how well, as JSON and as CSV."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from core.export.artifacts import WrittenArtifact, written_as
from core.export.condensed import canonical_json
from core.export.formats import RESULTS

#: Of a line of the CSV: one network, trained once and tested once.
COLUMNS = ("method", "network", "protocol", "repeat", "accuracy", "epochs", "train_images")


def write_results(
    card: Mapping[str, Any], trials: Iterable[Mapping[str, Any]], out: Path
) -> list[WrittenArtifact]:
    """Write both into the folder `out`, made if it is absent. Equal results give equal bytes.

    Args:
        card: JSON-serialisable; it holds no time and no id.
        trials: with COLUMNS each, in the order of the lines.
    """
    out.mkdir(parents=True, exist_ok=True)
    as_json, as_csv = RESULTS
    lines = [{name: one[name] for name in COLUMNS} for one in trials]
    text = canonical_json({**card, "trials": lines}, indent=2)
    (out / as_json.file_name).write_text(text + "\n", encoding="utf-8")
    with (out / as_csv.file_name).open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(lines)
    return [written_as(one, out / one.file_name) for one in RESULTS]
