# Everything a contributor runs. `make setup` is called first by what needs it and costs nothing
# when nothing changed.

BIN := .venv/bin
UV := .venv/build-tools/bin/uv
LOCK := $(UV) pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
	--python-version 3.11 $(if $(UPGRADE),--upgrade)
# One worker process per core; the files of tests/ are shared out among them.
PYTEST := $(BIN)/pytest --numprocesses=logical --maxprocesses=8 --dist=loadfile
DOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo up test verify check docs bench lock migrate

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with everything pinned
	@scripts/setup.sh

setup-dev:
	@scripts/setup.sh dev

demo: setup ## run one real task end to end and say what happened
	$(BIN)/perdure demo

up: setup ## run everything on this machine
	$(BIN)/perdure up

test: setup-dev ## the tests, under seven minutes on two cores
	$(PYTEST)

verify: setup-dev ## the long profile: more examples, more seeds, browser, chaos
	$(PYTEST) -m "" --hypothesis-profile=long

check: setup-dev ## format, lint, types, layers, migrations, documents, containers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_migrations.py
	$(DOCS) --quiet
ifneq ($(wildcard docker-compose.yml),)
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
endif
ifneq ($(wildcard Dockerfile),)
	$(BIN)/hadolint Dockerfile
endif

docs: setup-dev ## build the documentation into site/
	$(DOCS)

bench: setup-dev ## measure ourselves beside our peers, on this machine
	$(BIN)/python -m bench

migrate: setup ## bring the database of PERDURE_DATABASE_URL to the newest schema
	$(BIN)/perdure migrate

lock: setup ## renew the lock files; with UPGRADE=1 take newer versions
	$(LOCK) pyproject.toml --group dev --group bench --output-file requirements-dev.lock
	$(LOCK) pyproject.toml --constraint requirements-dev.lock --output-file requirements.lock
	$(LOCK) --group build --output-file requirements-build.lock
