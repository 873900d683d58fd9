# Everything runs from a virtual environment in .venv, made from the locked requirements.
# `make help` lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
RUNTIME := $(VENV)/.installed
DEVELOPMENT := $(VENV)/.installed-dev
DJANGO_TESTS := $(VENV)/django-tests

SERVE ?=
PYTEST ?=
BENCH ?=

.DEFAULT_GOAL := help
.PHONY: help run test lint format unit bench bench-client bench-panel pictures man completions peers lock clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  SERVE="--listen 127.0.0.1:2526" adds options to run, PYTEST="-k retry" to test,'
	@echo '  BENCH="--help" to bench; PYTHON=python3.12 picks the interpreter.'

run: $(RUNTIME) ## Start the relay; its sandbox keeps every message on this machine
	@exec $(BIN)/waypost serve $(SERVE)

test: lint peers $(DJANGO_TESTS) ## Lint, then run every test but the long ones
	@DJANGO_TESTS=$(abspath $(DJANGO_TESTS)) sh .ci/tests $(BIN)/python $(PYTEST)

unit: $(DEVELOPMENT) ## Run the unit tests alone
	$(BIN)/python -m pytest tests/unit $(PYTEST)

lint: $(DEVELOPMENT) ## Check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(DEVELOPMENT) ## Format the code, and mend what can be mended by itself
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format

bench: $(DEVELOPMENT) peers ## Measure against Postfix (installs it, as root on Debian)
	$(BIN)/python bench/run.py $(BENCH)

bench-client: $(DEVELOPMENT) peers ## Measure the library against other senders
	$(BIN)/python bench/client.py $(BENCH)

pictures: $(DEVELOPMENT) peers ## Take the pictures of the panel that are in docs/images
	WAYPOST_PICTURES=docs/images $(BIN)/python -m pytest tests/browser/test_pictures.py

man: $(RUNTIME) ## Write the manual pages to build/man
	$(BIN)/python packaging/man.py build/man

completions: $(RUNTIME) ## Write the completions for bash, zsh and fish to build/completions
	@mkdir -p build/completions
	$(BIN)/waypost completion bash >build/completions/waypost
	$(BIN)/waypost completion zsh >build/completions/_waypost
	$(BIN)/waypost completion fish >build/completions/waypost.fish

bench-panel: $(DEVELOPMENT) peers ## Measure the panel over a million messages, and what it costs
	$(BIN)/python bench/panel.py $(BENCH)

peers: ## Install the programs that tests talk to (as root, with apt; otherwise those tests skip)
	@sh .ci/install-peers

lock: ## Lock the newest releases that pyproject.toml allows
	@sh .ci/lock $(PYTHON)

clean: ## Remove what make and the tools made
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache .coverage
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The stamps are newer than what they were made from, or they are made again.

$(VENV)/.made:
	@sh .ci/make-venv $(PYTHON) $(VENV)
	@touch $@

$(RUNTIME): $(VENV)/.made requirements.txt requirements-build.txt pyproject.toml
	$(PIP) install --quiet --require-hashes -r requirements.txt -r requirements-build.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(DEVELOPMENT): $(RUNTIME) requirements-dev.txt
	$(PIP) install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

# Django's own tests of mail come with its source, under the hash that is locked.
$(DJANGO_TESTS): $(DEVELOPMENT)
	@sh .ci/django-tests $(BIN)/python $@
	@touch $@
