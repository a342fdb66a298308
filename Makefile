# make demo    set up and run the main job on the embedded sample; needs the core dependencies and ONNX Runtime
# make test    set up and check everything: lint, types, documentation, then the tests
# make help    the rest
#
# Works with Python 3.11 or newer and pip; uses uv where it is installed. Choose an interpreter with PYTHON=python3.12
# and another place for the virtual environment with VENV=/some/folder.

PYTHON ?= python3
VENV ?= .venv
# Arguments for pytest, as in: make test-only TESTS="tests/calibration -k lens"
TESTS ?=
# Processes that run the tests, each with up to 2 GB; 0 for none but pytest's own, which a debugger wants.
WORKERS ?= auto

BIN := $(VENV)/bin
LOCK := requirements-dev.txt
UV := $(shell command -v uv 2>/dev/null)
ifeq ($(UV),)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
else
INSTALL := $(UV) pip install --quiet --python $(BIN)/python
endif

.DEFAULT_GOAL := help
.PHONY: help demo test test-only lint format types docs schemas lock clean

help:
	@echo "make demo       set up and run the main job on the embedded sample"
	@echo "make test       set up, then lint, types, documentation and all tests"
	@echo "make test-only  tests alone; TESTS=\"tests/calibration -k lens\" chooses"
	@echo "make lint       ruff: rules and formatting"
	@echo "make format     ruff: rewrite to the formatting"
	@echo "make types      mypy"
	@echo "make docs       build the documentation into site/, every link checked"
	@echo "make schemas    write docs/schemas.md from the schema objects"
	@echo "make lock       resolve $(LOCK) anew (needs uv)"
	@echo "make clean      remove what the other targets made"

demo: $(VENV)/.demo
	$(BIN)/pose3d demo

test: lint types docs test-only

test-only: $(VENV)/.dev
	@echo "== tests"
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(TESTS)

lint: $(VENV)/.dev
	@echo "== lint"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev
	@echo "== types"
	$(BIN)/mypy

docs: $(VENV)/.dev
	@echo "== documentation"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

schemas: $(VENV)/.core
	$(BIN)/python docs/generate_schemas.py

# What pyproject.toml overrides with a marker that is never true stays out of the lock.
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade --quiet \
	    --no-emit-index-url --no-emit-find-links --no-annotate --no-header --output-file $(LOCK)
	sed -i.old "/sys_platform == 'never'/d" $(LOCK) && rm $(LOCK).old

clean:
	rm -rf $(VENV) site results .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find calibration pose3d tests docs examples -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps say which set is installed; they are remade when the dependencies change. `.dev` includes all of `.core`.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "$(PYTHON) is missing or older than 3.11. Install Python 3.11 or newer, or name it: make PYTHON=python3.12" >&2; \
	    exit 1; }
	@echo "== virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { \
	    echo "The virtual environment could not be made. On Debian or Ubuntu: apt install python3-venv" >&2; \
	    rm -rf $(VENV); exit 1; }

# The lock serves as constraints, so that a demo next year runs with the versions that were tested.
$(VENV)/.core: pyproject.toml $(LOCK) | $(BIN)/python
	@echo "== core dependencies (a few minutes the first time)"
	@$(INSTALL) --constraint $(LOCK) --editable .
	@touch $@

$(VENV)/.demo: pyproject.toml $(LOCK) | $(BIN)/python
	@echo "== dependencies of the demo (a few minutes the first time)"
	@$(INSTALL) --constraint $(LOCK) --editable ".[demo]"
	@touch $@ $(VENV)/.core

# --no-deps: the lock is complete, and some packages ask for a second OpenCV build that would break the first.
$(VENV)/.dev: pyproject.toml $(LOCK) | $(BIN)/python
	@echo "== development dependencies (a few minutes the first time)"
	@$(INSTALL) --no-deps --requirement $(LOCK)
	@$(INSTALL) --no-deps --editable .
	@touch $@ $(VENV)/.core $(VENV)/.demo
