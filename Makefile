# All commands for contributors. Targets that need `make setup` call it first; it does nothing if the
# lock files have not changed.

BIN := .venv/bin
UV := .venv/build-tools/bin/uv
LOCK := $(UV) pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
	--python-version 3.11 $(if $(UPGRADE),--upgrade)
# tests/distribution.py decides how many processes there are, and which one runs which file.
PYTEST := $(BIN)/pytest --numprocesses=auto --dist=loadscope --no-loadscope-reorder
DOCS := $(BIN)/python scripts/docs_site.py && $(BIN)/zensical build --strict

# Tests start hundreds of Python processes: the bytecode of our modules is kept between them.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo up test test-again verify check docs bench bench-compare lock migrate

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## create .venv from the lock files
	@scripts/setup.sh

setup-dev:
	@scripts/setup.sh dev

demo: setup ## run one task from end to end and print the result
	$(BIN)/perdure demo

up: setup ## run all components on this machine
	$(BIN)/perdure up

test: setup-dev ## run the tests (about 14 minutes on two cores)
	$(PYTEST)

test-again: setup-dev ## run the tests that failed in the last run, one after the other
	$(BIN)/pytest --last-failed --last-failed-no-failures=none

verify: setup-dev ## run all tests, with the long ones: more examples and seeds, browser, chaos, guides, bench
	$(PYTEST) -m "" --hypothesis-profile=long

check: setup-dev ## check format, lint, types, layers, migrations, language, documents, containers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_migrations.py
	$(BIN)/python scripts/write_operations.py --check
	$(BIN)/python scripts/check_language.py
	$(DOCS)
ifneq ($(wildcard docker-compose.yml),)
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
endif
ifneq ($(wildcard Dockerfile),)
	$(BIN)/hadolint Dockerfile
endif

docs: setup-dev ## build the documentation in site/
	$(DOCS)

bench: setup-dev ## compare performance with other systems on this machine
	$(BIN)/python -m bench

bench-compare: setup-dev ## compare performance with another revision: REV=main
	@scripts/bench_compare.sh "$(REV)"

migrate: setup ## migrate the database at PERDURE_DATABASE_URL to the latest schema
	$(BIN)/perdure migrate

lock: setup ## update the lock files; UPGRADE=1 also upgrades the packages
	$(LOCK) pyproject.toml --group dev --group bench --output-file requirements-dev.lock
	$(LOCK) pyproject.toml --constraint requirements-dev.lock --output-file requirements.lock
	$(LOCK) --group build --output-file requirements-build.lock
	$(LOCK) bench/peers/requirements.in --output-file bench/peers/requirements.lock
