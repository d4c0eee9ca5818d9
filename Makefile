# One command each: `make run` sets up and runs the demo, `make test` is what CI runs first.
# PYTHON=python3.12      another interpreter (3.11 or 3.12)
# LOCK=cuda              the GPU environment (locks/cuda.txt) instead of the CPU one
# TORCH_INDEX=URL        where torch comes from, e.g. https://download.pytorch.org/whl/cpu for the CPU build on Linux
# ARGS="..."             more arguments for gaokerena or pytest

PYTHON ?= python3
LOCK ?= cpu
VENV ?= .venv
TORCH_INDEX ?=
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
UV := $(BIN)/uv
COMPILE := pip compile --quiet --no-header --no-annotate --python-version 3.11
INSTALLED_FROM := pyproject.toml Makefile locks/$(LOCK).txt locks/cpu-nodeps.txt
STAMP := $(VENV)/.stamp-$(LOCK)-$(shell cat $(INSTALLED_FROM) | cksum | cut -d' ' -f1)

# deepspeed builds its operators when they are first used, not while it is installed.
export DS_BUILD_OPS := 0

.PHONY: run setup chromium lint format test quantize slow acceptance lock

run: setup
	$(BIN)/gaokerena run --recipe demo $(ARGS)

setup: $(STAMP) chromium

test: setup lint
	$(BIN)/python -m pytest -m "not slow and not acceptance" $(ARGS)

# What `gaokerena publish model --quantize` needs. Not part of setup: PEFT imports it in every process, for seconds, where it is.
quantize: setup
	$(PIP) install --quiet --no-deps --requirement locks/quantize.txt

slow: setup
	$(BIN)/python -m pytest -m "slow and not acceptance" $(ARGS)

# Soaks, kills, full replays, several nodes; each test appends its row to docs/acceptance.md.
acceptance: setup
	$(BIN)/python -m pytest -m acceptance $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The stamp is named after what was installed: nothing changed, nothing to do.
# torch goes first, alone: its index may be another, and flash-attn's build imports it.
$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 13) else "Python 3.11 or 3.12 is needed; this one is " + sys.version.split()[0] + ": use make PYTHON=python3.12")'
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@echo "installing locks/$(LOCK).txt into $(VENV) (some minutes and 2 GB the first time)"
	$(PIP) install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$(sed -n 's/^\(torch==[^ ;]*\).*/\1/p' locks/$(LOCK).txt)"
	@grep -v '^flash-attn==' locks/$(LOCK).txt > $(VENV)/requirements.txt
	$(PIP) install --quiet --requirement $(VENV)/requirements.txt
	@if grep -q '^flash-attn==' locks/$(LOCK).txt; then \
		$(PIP) install --quiet --no-build-isolation "$$(grep '^flash-attn==' locks/$(LOCK).txt)"; fi
	$(PIP) install --quiet --no-deps --requirement locks/cpu-nodeps.txt
	$(PIP) install --quiet --no-deps --editable .
	@rm -f $(VENV)/.stamp-*
	@touch $@

# JavaScript pages need a Chromium: the system's, or Playwright's own.
chromium:
	@command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 \
	|| command -v google-chrome >/dev/null 2>&1 \
	|| ls -d "$${PLAYWRIGHT_BROWSERS_PATH:-$$HOME/.cache/ms-playwright}"/chromium* >/dev/null 2>&1 \
	|| ls -d "$$HOME/Library/Caches/ms-playwright"/chromium* >/dev/null 2>&1 \
	|| { [ "$$(id -u)" = 0 ] && grep -qs '^ID=debian' /etc/os-release && echo "installing chromium" \
		&& apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	|| echo "no Chromium: sources with render: browser need one: $(BIN)/playwright install --with-deps chromium"

# Resolves only, installs nothing. Keeps the pins that still fit; `make lock ARGS=--upgrade` takes the newest.
lock: $(STAMP)
	$(UV) --config-file locks/uv-cpu.toml $(COMPILE) --extra dev --extra trackers --universal $(ARGS) --output-file locks/cpu.txt pyproject.toml
	$(UV) --config-file locks/uv-cuda.toml $(COMPILE) --extra dev --extra trackers --extra cuda --python-platform x86_64-unknown-linux-gnu $(ARGS) --output-file locks/cuda.txt pyproject.toml
	$(UV) --no-config $(COMPILE) --python-platform x86_64-unknown-linux-gnu $(ARGS) --output-file locks/vllm.txt locks/vllm.in
