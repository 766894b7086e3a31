"""`python -m tests.data.corpus OUT` writes every hostile and broken upload, and a list of what each must get."""

import argparse
import json
from pathlib import Path

from tests.data import (
    arrays,
    binary_cifars,
    images,
    kinds,
    names,
    parquets,
    pickles,
    sets,
    tables,
    tars,
    webdatasets,
    zips,
)
from tests.data.case import Case

ARCHIVES, FORMATS = (names, zips, tars), (arrays, pickles, binary_cifars, parquets, webdatasets, tables)
CASES: tuple[Case, ...] = tuple(
    one for module in (*ARCHIVES, images, *FORMATS, sets, kinds) for one in module.CASES
)
LIST_FILE = "corpus.jsonl"


def write(out: Path) -> Path:
    """Write each case under its name, and the list; returns the list's path."""
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    for one in CASES:
        (out / one.name).write_bytes(one.make())
        facts = {"name": one.name, "about": one.about, "code": one.code, "context": one.context}
        lines.append(json.dumps(facts, ensure_ascii=True) + "\n")
    path = out / LIST_FILE
    path.write_text("".join(lines))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.data.corpus", description=__doc__)
    parser.add_argument("out", type=Path)
    print(f"{len(CASES)} cases: {write(parser.parse_args().out)}")


if __name__ == "__main__":
    main()
