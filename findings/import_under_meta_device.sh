#!/usr/bin/env bash
# torch 2.13.0, Python 3.11, CPU: a module that is first imported inside `with torch.device("meta")` has its
# constants on the meta device for as long as the process lives.
#
# `with torch.device("meta")` is the usual way to build a network as shapes only, at no cost of memory or time.
# It sets the device of every tensor that is created meanwhile, also of those that a module creates at its
# top level while it is imported. Python keeps the module, so importing it again outside of the block changes
# nothing: its constants have no values. A program in which anything is imported late (a network chosen by
# name, an optional dependency) works or fails by what happened to be imported first.
#
# Seen with a module that has the one line SCALE = torch.tensor([0.5, 2.0]):
#   imported before the block: SCALE is on cpu, [0.5, 2.0]
#   imported in the block:     SCALE is on meta, also after the block and after a second import
#   torch.ones(2) * SCALE:     RuntimeError: Tensor on device meta is not on the expected device cpu!
#   SCALE.tolist():            NotImplementedError: Cannot copy out of meta tensor; no data!
#
# Way out: import whatever the block may need before it.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6

cat >early.py <<'PYTHON'
import torch

SCALE = torch.tensor([0.5, 2.0])
PYTHON
cp early.py late.py

cat >shown.py <<'PYTHON'
import importlib
import sys

import torch

import early

with torch.device("meta"):
    import early
    import late


def outcome(act):
    try:
        return str(act())
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


again = importlib.import_module("late")
found = {
    "imported before the block": f"{early.SCALE.device}, {early.SCALE.tolist()}",
    "imported in the block": str(late.SCALE.device),
    "imported once more after it": str(again.SCALE.device),
    "the device of new tensors after it": str(torch.ones(2).device),
    "torch.ones(2) * SCALE": outcome(lambda: torch.ones(2) * late.SCALE),
    "SCALE.tolist()": outcome(late.SCALE.tolist),
}
expected = {
    "imported before the block": "cpu, [0.5, 2.0]",
    "imported in the block": "meta",
    "imported once more after it": "meta",
    "the device of new tensors after it": "cpu",
    "torch.ones(2) * SCALE": "RuntimeError",
    "SCALE.tolist()": "NotImplementedError",
}
print("torch", torch.__version__)
for name, value in found.items():
    print(f"{name}: {value}")
changed = [name for name, value in found.items() if value.partition(":")[0] != expected[name]]
sys.exit(f"changed: {', '.join(changed)}" if changed else 0)
PYTHON
venv/bin/python shown.py
