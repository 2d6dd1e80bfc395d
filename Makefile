# Everything runs in .venv, which the first target that needs it sets up from constraints.txt.
#   make test PYTHON=python3.12      another interpreter (3.11 or newer)
#   make test ARGS="-k sampler -x"   arguments for pytest (or for the benchmarks)

PYTHON ?= python3
ARGS ?=

VENV := .venv
RUN := $(VENV)/bin/python
# Touched last, so that a set-up that was interrupted is done again.
READY := $(VENV)/.ready
# A .venv that was left half made or half deleted runs as the system's Python; pip must then refuse to install.
PIP := PIP_REQUIRE_VIRTUALENV=1 $(RUN) -m pip --disable-pip-version-check
USABLE = $(RUN) -c 'import sys; sys.exit(sys.prefix == sys.base_prefix or sys.argv[1] != sys.version)' \
  "$$($(PYTHON) -c 'import sys; print(sys.version)')" 2>/dev/null && $(PIP) --version >/dev/null 2>&1
# What makes it an environment goes first, so that an interrupted removal cannot pass for a whole one.
REMOVE := rm -rf $(READY) $(VENV)/pyvenv.cfg $(VENV)

.DEFAULT_GOAL := help
.PHONY: help demo real test browser check format docs bench clean distclean
.DELETE_ON_ERROR:

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(READY)  ## the main job on made-up data: six domains left out in turn, a table and a page
	$(VENV)/bin/torchcross data synth --scale small --resume --out data/synthetic
	$(VENV)/bin/torchcross run docs/examples/demo.toml --out runs/demo

real: $(READY)  ## the same on real open images with ImageNet weights; fetches about 210 MB, takes half an hour
	$(VENV)/bin/torchcross data fetch --out data/open --only open_chest_xray open_ct_patches open_solar_cells open_molecules open_photographs
	$(VENV)/bin/torchcross weights fetch mobilenet_v2 --out data/weights
	$(VENV)/bin/torchcross run docs/examples/real.toml --out runs/real

test: $(READY)  ## run all tests (those of `make docs` are among them)
	$(RUN) -m pytest $(ARGS)

browser: $(READY)  ## check the report's page in a headless Chromium, which must be on PATH
	$(RUN) -m tests.report.browser $(ARGS)

check: $(READY)  ## formatting, lint and types; changes nothing
	$(RUN) -m ruff format --check --output-format concise .
	$(RUN) -m ruff check .
	$(RUN) -m mypy

format: $(READY)  ## format, and fix what lint can fix
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

docs: $(READY)  ## run every snippet and example of the documentation, check every relative link
	$(RUN) -m pytest tests/repository/test_docs.py $(ARGS)

bench: $(READY)  ## run the benchmarks; they install their peers under .peers
	$(RUN) -m benchmarks $(ARGS)

clean:  ## remove caches and build outputs
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -path ./.peers -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## remove the environments too
	$(REMOVE)
	rm -rf .peers

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "torchcross needs Python 3.11 or newer, and '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)."; \
	  echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; } >&2
	@rm -f $@
	@{ $(USABLE); } || { $(REMOVE) && $(PYTHON) -m venv $(VENV); }
	$(PIP) install -c constraints.txt torch
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@
