# Everything runs in .venv, made from requirements.lock by the targets that need it.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench
JOBS ?= 2
FUZZ ?= 10000
SEED ?= 0

# Bytecode is kept, also where the environment says PYTHONDONTWRITEBYTECODE: many tests start
# processes, and importing hybrid takes 0.7 s of processor time with it, 1.5 s without.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help venv demo test lint types layers pytest doctests fuzz docs bench fmt lock clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | \
		while IFS="$$(printf '\t')" read -r name text; do printf '%-8s %s\n' "$$name" "$$text"; done

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "hybrid needs Python 3.11 or newer on PATH" >&2; exit 1; }
	@echo "installing hybrid and its tools into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --no-compile -r requirements.lock  # bytecode of all is 33 s, of what is imported 6
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(BENCH_STAMP): requirements-bench.lock $(STAMP)
	@echo "installing the benchmark peers into $(VENV)"
	@$(PIP) install -r requirements-bench.lock
	@touch $@

venv: $(STAMP)  ## make .venv

demo: $(STAMP)  ## run the tour of the library
	@$(BIN)/hybrid demo

# The type checker keeps one core busy; the doctests take the others meanwhile.
test: lint  ## every check, what CI runs
	@$(MAKE) --no-print-directory --jobs=3 types layers doctests
	@$(MAKE) --no-print-directory pytest

lint: $(STAMP)  ## ruff, rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(STAMP)  ## mypy, strict
	$(BIN)/mypy

layers: $(STAMP)  ## the import contracts between the layers
	$(BIN)/lint-imports --no-logo

pytest: $(STAMP)  ## tests and notebooks
	$(BIN)/python -m pytest -n $(JOBS) -q

doctests: $(STAMP)  ## the examples of docstrings
	$(BIN)/python -m pytest -n $(JOBS) -q -p tests.conftest --doctest-modules hybrid benchmarks

fuzz: $(STAMP)  ## random programs, compiled against eager: FUZZ=10000 of them from seed SEED
	HYBRID_FUZZ_EXAMPLES=$(FUZZ) HYBRID_FUZZ_SEED=$(SEED) $(BIN)/python -m pytest -n $(JOBS) -q tests/fuzz

docs: $(STAMP)  ## write docs/ops.md anew from the registry
	$(BIN)/python -m hybrid ops > docs/ops.md

bench: $(BENCH_STAMP)  ## compare with NumPy, JAX and torch (half an hour), write benchmarks/results
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.readme

fmt: $(STAMP)  ## format and fix what ruff can fix
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format

lock: $(STAMP)  ## pin the newest versions that pyproject.toml allows
	@$(PIP) install pip-tools
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --upgrade --strip-extras \
		--no-emit-index-url --no-emit-find-links --no-emit-options \
		--extra demo --extra dev --output-file requirements.lock pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --upgrade --strip-extras \
		--no-emit-index-url --no-emit-find-links --no-emit-options --constraint requirements.lock \
		--extra bench --output-file requirements-bench.lock pyproject.toml
	sed -i.old -E 's/^(torch==[0-9.]+)\+.*/\1/' requirements-bench.lock && rm requirements-bench.lock.old

clean:  ## remove .venv and everything that can be made again
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis \
		.import_linter_cache benchmarks/results/partial.* benchmarks/results/*.jsonl demo-output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
