# Each target makes what it needs: python3, make and a C compiler are enough to begin with.

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help run test bench lint clean lock

help: ## what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(STAMP): pyproject.toml requirements.lock scripts/bootstrap.sh
	@sh scripts/bootstrap.sh $(VENV)
	@touch $@

run: $(STAMP) ## start Florin on 127.0.0.1:8000 with an embedded PostgreSQL
	@exec florin run

test: $(STAMP) ## run every test on a real PostgreSQL
	@pytest -n logical --maxprocesses 4 --dist loadfile

bench: $(STAMP) ## measure ratios within one run; writes benchmarks/latest.json
	@sh scripts/load_generator.sh
	@florin bench

lint: $(STAMP) ## style, types, import contracts
	@ruff format --check src tests
	@ruff check src tests
	@mypy
	@lint-imports --no-cache

lock: $(STAMP) ## pin the newest allowed dependencies, with hashes and without index addresses
	@uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --upgrade -o requirements.lock

clean: ## remove what the other targets made, data included
	rm -rf $(VENV) .florin .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
