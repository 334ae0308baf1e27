# Every target sets up what it needs; `make help` lists them.
VENV ?= .venv
PY := $(VENV)/bin/python
LEVEL ?= all

.PHONY: help check lint types imports unit lock

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

check: lint types imports unit ## what every commit passes: style, types, floor plan, unit tests

lint:
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

types:
	@$(VENV)/bin/mypy

imports:
	@$(VENV)/bin/lint-imports --no-cache > .import-lint.out 2>&1 || { cat .import-lint.out; exit 1; }

unit:
	@$(PY) -m pytest tests -m "not host and not lab and not web and not soak"

lock: ## write the lock files anew from requirements/*.in (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" requirements/run.in -o requirements/run.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" requirements/dev.in -o requirements/dev.txt

.venv/stamp: requirements/dev.txt
	@command -v pkg-config >/dev/null && test -e /usr/include/libvirt/libvirt.h || { apt-get update -qq && apt-get install -y -qq python3-venv libvirt-dev pkg-config gcc python3-dev; }
	@python3 -m venv .venv && .venv/bin/pip -q install --require-hashes -r requirements/dev.txt && touch .venv/stamp

test: .venv/stamp ## everything the project checks
	@$(MAKE) -s lint types imports unit VENV=.venv
