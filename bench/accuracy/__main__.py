"""`python -m bench.accuracy`: see bench.accuracy.command."""

import os
import sys

from worker.runner_environment import RUNNER_ENVIRONMENT

if any(os.environ.get(name) != value for name, value in RUNNER_ENVIRONMENT.items()):
    # Libraries read it when they load: start anew under it, as the service starts its runners.
    command = [sys.executable, "-m", "bench.accuracy", *sys.argv[1:]]
    os.execve(sys.executable, command, os.environ | dict(RUNNER_ENVIRONMENT))  # noqa: S606 (our own module)

from bench.accuracy.command import main
from core.errors import CondenseryError

try:
    sys.exit(main(sys.argv[1:], lambda line: print(line, flush=True)))
except (OSError, ValueError, CondenseryError) as error:
    sys.exit(f"bench.accuracy: {error}")
