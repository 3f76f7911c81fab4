# Every command of the project. CI calls these targets and nothing else.
# `make demo` and `make test` work as the first command on a fresh clone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
COVERAGE_MIN := 85
# Tests wait more than they work, and those that share services wait for each other.
WORKERS ?= 4
# Whom the demo pays through: mock or stripe.
PROVIDER ?= mock
SPREAD := -n $(WORKERS) --dist loadgroup --no-loadscope-reorder
# Demo and tests start hundreds of processes; each would compile the code anew.
export PYTHONDONTWRITEBYTECODE :=
# protoc looks for its plugins here.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo up test coverage conformance conformance-mutants check gen bench clean
.DELETE_ON_ERROR:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with everything pinned (others do it when needed)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, for example: make PYTHON=python3.12")'
	@echo "setting up $(VENV) ..."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP) ## Pay a few hundred orders, watch their events, verify everything
	@$(BIN)/python -m examples.demo --provider=$(PROVIDER)

up: $(STAMP) ## Start all processes and keep them running until Ctrl-C
	@$(BIN)/python -m deploy.up

test: $(STAMP) ## Run every test that needs no Docker
	@$(BIN)/python -m pytest -q $(SPREAD) $(ARGS)

coverage: $(STAMP) ## The same, half as fast; fails below the coverage floor
	@$(BIN)/python -m pytest -q $(SPREAD) -p pytest_cov --cov --cov-report= \
		--cov-fail-under=$(COVERAGE_MIN) $(ARGS)

conformance: $(STAMP) ## Check the simulated provider, or TARGET=host:port with its PROFILE=file
	@mkdir -p var
	@$(BIN)/payhub-conform --profile $(or $(PROFILE),provider_mock/conformance.yaml) \
		$(if $(TARGET),--endpoint $(TARGET)) $(if $(TARGET)$(PROFILE),,--all-proven) \
		--json var/conformance.json --junit var/conformance.xml $(ARGS)

conformance-mutants: $(STAMP) ## Prove each check against providers that break its rule; ONLY=<ids>
	@$(BIN)/python -m tests.mutants $(if $(ONLY),--only $(ONLY)) $(ARGS)

check: $(STAMP) ## Format, lint, types, imports, contract, compose file
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@found=$$($(BIN)/lint-imports --no-logo) || { echo "$$found"; exit 1; }
	@$(BIN)/python -m deploy.check_contract
	@$(BIN)/python -m deploy.check_compose
	@$(BIN)/python -m deploy.settings_reference --check
	@$(BIN)/python -m deploy.api_reference --check

gen: $(STAMP) ## Write gen/ and docs/api from protos/, and the tables of docs/settings.md
	@$(BIN)/python protos/generate.py
	@$(BIN)/python -m deploy.settings_reference
	@$(BIN)/python -m deploy.api_reference

bench: $(STAMP) ## Measure; ONLY=<name prefix> and SECONDS=<n> run a part
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(SECONDS),--seconds $(SECONDS))

clean: ## Remove what the commands above wrote, except .venv and benchmark results
	@rm -rf var build dist .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .import_linter_cache
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
