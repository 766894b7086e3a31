# `make demo` and `make test` set everything up themselves, in .venv.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
RUNS := 1
UV_VERSION := 0.13.9
STAMP := $(VENV)/.installed

.PHONY: demo up test fuzz-api faults lint bench bench-api lock clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   condense scikit-learn's digits end to end, on this machine"
	@echo "make up     run the service at http://127.0.0.1:8000 until Ctrl-C"
	@echo "make test   the whole test suite"
	@echo "make fuzz-api  schemathesis against the API, EXAMPLES=100 cases an operation and phase; minutes"
	@echo "make faults   the matrix of faults, RUNS=1 of each; ten minutes or so a run of all"
	@echo "make lint   linters, import rules, types, spelling"
	@echo "make bench  measure the engine's speed and cost on this machine's CPU, into docs/performance.md"
	@echo "make bench-api  measure the API under load, into docs/performance.md; needs wrk, better with nginx"
	@echo "make lock   resolve the dependencies anew into requirements.lock"

demo: $(STAMP)
	$(RUN) -m examples.demo

up: $(STAMP)
	$(VENV)/bin/condensery up

test: $(STAMP)
	$(RUN) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

EXAMPLES ?= 100
fuzz-api: $(STAMP)
	CONDENSERY_FUZZ_EXAMPLES=$(EXAMPLES) $(RUN) -m pytest -s tests/contract/test_fuzzed_api.py

faults: $(STAMP)
	$(RUN) -m tests.faults --runs $(RUNS)

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(RUN) scripts/unasync.py --check
	$(RUN) -m mypy
	git ls-files -z | xargs -0 $(VENV)/bin/codespell

bench: $(STAMP)
	$(RUN) -m bench
	$(RUN) -m bench.cost

bench-api: $(STAMP)
	$(RUN) -m bench.api

lock: $(STAMP)
	$(VENV)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --group dev --upgrade -o requirements.lock pyproject.toml

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make virtual environments: install its venv package, or set PYTHON=…" >&2; rm -rf $(VENV); exit 1; }
	@$(VENV)/bin/uv --version 2>/dev/null | grep -qF "uv $(UV_VERSION)" || $(RUN) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@echo "installing into $(VENV): torch and the rest, some GB, minutes the first time" >&2
	@# Compiled now: where PYTHONDONTWRITEBYTECODE is set, every process would do it, and torch takes seconds.
	$(VENV)/bin/uv pip sync $(if $(MAKE_TERMERR),,--quiet) --compile-bytecode --python $(RUN) --require-hashes requirements.lock
	$(VENV)/bin/uv pip install --quiet --python $(RUN) --no-deps --editable .
	@touch $(STAMP)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
