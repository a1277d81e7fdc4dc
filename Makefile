# Two commands matter: `make run` and `make test`. Each sets up what it needs by itself, in .venv.
# `make help` lists the rest. Another Python: make test PYTHON=/usr/bin/python3.13

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

# A Python asked for by name gets a virtual environment of its own, so that two can be tried side by side.
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.13 python3.12 python3.11)
version = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV ?= $(if $(PYTHON),.venv-$(call version,$(PYTHON)),.venv)
VENV := $(VENV)
BIN := $(VENV)/bin

# A virtual environment does not survive a move of the checkout or the loss of the Python it was made with.
USABLE := $(shell [ "$$(cat $(VENV)/.made 2>/dev/null)" = "$$PWD" ] && $(BIN)/python -c "" 2>/dev/null && echo yes)

PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet
LOCKED := --require-hashes --only-binary :all:
EDITABLE := --no-deps --no-build-isolation --editable .

.PHONY: help
help:  ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## /make \1 \t/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: run
run: $(VENV)/.runtime  ## the whole system on a simulated car; options in ARGS, such as ARGS="--speed 20"
	@exec $(BIN)/lowmaf demo $(ARGS)

.PHONY: test
test: check browser  ## format, lint, types and every test; pytest's options in ARGS
	@$(BIN)/python -m pytest $(ARGS)

.PHONY: test-long
test-long: check browser  ## the same with the tests that take minutes
	@$(BIN)/python -m pytest -m "" $(ARGS)

.PHONY: check
check: $(VENV)/.dev  ## format, lint and types only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: bench
bench: $(VENV)/.dev  ## measured figures beside their targets; one of them: ARGS=store
	@$(BIN)/python tests/bench/run.py $(ARGS)

# One version for every supported Python, where there is one: the same sums everywhere.
RESOLVE := pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--fork-strategy fewest --only-binary :all: \
	--no-emit-index-url --no-annotate --no-header

.PHONY: lock
lock: $(VENV)/.dev  ## resolve the locked dependencies anew from pyproject.toml
	@$(PIP) uv
	$(BIN)/uv $(RESOLVE) --group build --output-file requirements.lock
	$(BIN)/uv $(RESOLVE) --group dev --constraint requirements.lock --output-file requirements-dev.lock

.PHONY: clean
clean:  ## remove the virtual environments and everything that was generated
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The tests of the dashboard drive Debian's Chromium. It is a system package, so it is only installed
# where that needs no password; elsewhere those tests are skipped and say so.
.PHONY: browser
browser:
	@command -v chromium >/dev/null 2>&1 || { \
		line="apt-get install --yes --no-install-recommends chromium libatomic1"; \
		if ! command -v apt-get >/dev/null 2>&1; then \
			echo "No chromium and no apt-get here: the tests that need a browser will be skipped." >&2; \
		elif [ "$$(id -u)" = 0 ]; then \
			echo "Installing the browser for the tests: $$line"; \
			{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$line -qq </dev/null >/dev/null; } \
			|| echo "Chromium could not be installed: the tests that need a browser will be skipped." >&2; \
		else \
			echo "No chromium here: the tests that need a browser will be skipped. To run them: sudo $$line" >&2; \
		fi; \
	}

$(VENV)/.runtime: requirements.lock pyproject.toml $(VENV)/.made
	@echo "Installing what lowmaf needs into $(VENV)"
	@$(PIP) $(LOCKED) --requirement requirements.lock
	@$(PIP) $(EDITABLE)
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml $(VENV)/.made
	@echo "Installing what lowmaf and its tests need into $(VENV)"
	@$(PIP) $(LOCKED) --requirement requirements-dev.lock
	@$(PIP) $(EDITABLE)
	@touch $@

.PHONY: anew
anew:

$(VENV)/.made: $(if $(USABLE),,anew)
	@chosen=""; \
	for candidate in $(CANDIDATES); do \
		if $$candidate -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then \
			chosen=$$candidate; break; \
		fi; \
	done; \
	if [ -z "$$chosen" ]; then \
		echo "lowmaf needs Python 3.11 or newer, and none of these is: $(CANDIDATES)." >&2; \
		echo "On Debian 12, 64-bit Raspberry Pi OS or newer: sudo apt install python3 python3-venv" >&2; \
		echo "Where Python has another name: make $(MAKECMDGOALS) PYTHON=/path/to/python3.13" >&2; \
		exit 1; \
	fi; \
	if ! $$chosen -c "import ensurepip, venv" 2>/dev/null; then \
		echo "$$chosen cannot make virtual environments: its venv module is missing." >&2; \
		echo "On Debian and Raspberry Pi OS: sudo apt install python3-venv" >&2; \
		exit 1; \
	fi; \
	echo "Making $(VENV) with $$($$chosen --version)"; \
	$$chosen -m venv --clear $(VENV)
	@printf "%s" "$$PWD" >$@
