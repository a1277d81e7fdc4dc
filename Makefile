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
test: check system-packages  ## format, lint, types and every test; pytest's options in ARGS
	@$(BIN)/python -m pytest --numprocesses=logical --dist=loadfile $(ARGS)

.PHONY: test-long
test-long: check system-packages boot-packages  ## the same with the tests that take minutes
	@LOWMAF_TIMED=1 $(BIN)/python -m pytest -m "not vm" $(ARGS)

.PHONY: test-vm
test-vm: $(VENV)/.dev boot-packages vm-packages  ## lowmaf on an emulated computer: boot, CAN, USB, power cuts (as root)
	@$(BIN)/python -m pytest -m vm -s tests/vm $(ARGS)

.PHONY: check
check: $(VENV)/.dev  ## format, lint and types only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: bench
bench: $(VENV)/.dev  ## measured figures beside their targets; one of them: ARGS=store
	@$(BIN)/python tests/bench/run.py $(ARGS)

.PHONY: docs
docs: $(VENV)/.dev  ## write the reference in docs/reference anew from the code
	@$(BIN)/python -m tools.reference

# One version for every supported Python, where there is one: the same sums everywhere.
RESOLVE := pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--fork-strategy fewest --only-binary :all: \
	--no-emit-index-url --no-annotate --no-header

.PHONY: lock
lock: $(VENV)/.dev  ## resolve the locked dependencies anew from pyproject.toml
	@$(PIP) uv
	$(BIN)/uv $(RESOLVE) --group build --output-file requirements.lock
	$(BIN)/uv $(RESOLVE) --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(BIN)/uv $(filter-out pyproject.toml,$(RESOLVE)) --group audit --output-file requirements-audit.lock

# Its tools need packages of their own versions: they have a virtual environment of their own.
AUDIT := $(VENV)-audit
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

.PHONY: audit sbom
audit: $(AUDIT)/.made  ## look for known weaknesses in the locked packages, and for dangerous code in ours
	@$(AUDIT)/bin/bandit --quiet --recursive --configfile pyproject.toml lowmaf drivers daemon web
	@$(AUDIT)/bin/python tools/audit.py requirements.lock

.PHONY: release
release: wheel deb sbom  ## everything that a release consists of, in dist/

sbom: $(AUDIT)/.made  ## write what a release is made of, package by package, as CycloneDX into dist
	@mkdir -p dist
	@PYTHONWARNINGS=ignore $(AUDIT)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
		--output-file dist/lowmaf-$(VERSION).cdx.json requirements.lock
	@echo "dist/lowmaf-$(VERSION).cdx.json"

$(AUDIT)/.made: requirements-audit.lock $(VENV)/.made
	@echo "Installing what audits lowmaf into $(AUDIT)"
	@$(BIN)/python -m venv --clear $(AUDIT)
	@$(AUDIT)/bin/python -m pip --disable-pip-version-check --no-input install --quiet $(LOCKED) \
		--requirement requirements-audit.lock
	@touch $@

.PHONY: clean
clean:  ## remove the virtual environments and everything that was generated
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: install uninstall
install:  ## lowmaf as a service of this machine (with sudo); an upgrade keeps configuration and data
	@DESTDIR="$(DESTDIR)" PYTHON="$(PYTHON)" systemd/install.sh install

uninstall:  ## remove the service; PURGE=1 removes configuration and data too
	@DESTDIR="$(DESTDIR)" PURGE="$(PURGE)" systemd/install.sh uninstall

.PHONY: deb wheel
deb:  ## a Debian package in dist/, for this machine's architecture and Python
	@PYTHON="$(PYTHON)" systemd/deb.sh

wheel: $(VENV)/.runtime  ## a wheel in dist/, for pipx install
	@mkdir -p dist
	@$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@rm -rf build
	@ls dist/*.whl

# Some tests need system packages: Debian's Chromium for the dashboard, systemd for the unit, and for the
# long tests a Debian that is booted. They are only installed where that needs no password; elsewhere
# those tests are skipped and say so. $(call wanted,program,packages)
define wanted
@command -v $(1) >/dev/null 2>&1 || { \
	line="apt-get install --yes --no-install-recommends $(2)"; \
	skipped="tests that need $(1) will be skipped."; \
	if ! command -v apt-get >/dev/null 2>&1; then \
		echo "No $(1) and no apt-get here: $$skipped" >&2; \
	elif [ "$$(id -u)" = 0 ]; then \
		echo "Installing for the tests: $$line"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$line -qq </dev/null >/dev/null; } \
		|| echo "$(1) could not be installed: $$skipped" >&2; \
	else \
		echo "No $(1) here: $$skipped To run them: sudo $$line" >&2; \
	fi; \
}
endef

.PHONY: system-packages
system-packages:
	$(call wanted,chromium,chromium libatomic1)
	$(call wanted,systemd-analyze,systemd)

.PHONY: boot-packages
boot-packages:
	$(call wanted,systemd-nspawn,systemd-container)
	$(call wanted,debootstrap,debootstrap)

.PHONY: vm-packages
vm-packages:
	$(call wanted,qemu-system-x86_64,qemu-system-x86 e2fsprogs)

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
