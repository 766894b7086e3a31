#!/usr/bin/env bash
# torch 2.13.0, Python 3.11, CPU: constructing an optimiser of torch.optim imports torch._dynamo, the front end of
# torch.compile, although nothing is compiled.
#
# `import torch` does not import it. torch.optim.Optimizer.add_param_group, which every constructor calls, is
# wrapped so that torch.compile leaves it alone, and the wrapper imports torch._dynamo at its first call. So the
# first optimiser of a process costs seconds and tens of MiB. A process that updates its parameters by plain tensor
# operations pays neither: forward and backward pass import nothing of it.
#
# Seen, each in a process of its own:
#   import torch alone:                   torch._dynamo not imported
#   forward, backward, parameter -= …:    torch._dynamo not imported, 0 modules and 7 MiB more
#   torch.optim.SGD(parameters, lr=0.1):  torch._dynamo imported, 823 modules, 71 MiB and 2.0 s of CPU time more
#   torch.optim.Adam(parameters, lr=0.1): torch._dynamo imported, 823 modules, 72 MiB and 2.1 s of CPU time more
# Only whether torch._dynamo is imported is held against this; the figures depend on the machine.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6

cat >shown.py <<'PYTHON'
import resource
import sys
import time

import torch

what = sys.argv[1]
layer = torch.nn.Linear(2, 2)
modules, began = len(sys.modules), time.process_time()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if what == "plain step":
    layer(torch.ones(1, 2)).sum().backward()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter -= 0.1 * parameter.grad
elif what != "import torch":
    getattr(torch.optim, what)(layer.parameters(), lr=0.1)
seconds = time.process_time() - began
more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024  # KiB on Linux
imported = "torch._dynamo" in sys.modules
print(
    f"{what}: torch._dynamo {'imported' if imported else 'not imported'}, "
    f"{len(sys.modules) - modules} modules, {more:.0f} MiB and {seconds:.2f} s of CPU time more"
)
sys.exit(imported != (what in ("SGD", "Adam")))
PYTHON
status=0
for what in "import torch" "plain step" SGD Adam; do
  venv/bin/python shown.py "$what" || { echo "changed: $what" >&2; status=1; }
done
exit "$status"
