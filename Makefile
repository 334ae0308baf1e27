# Every target sets up what it needs; `make help` lists them.
VENV ?= .venv
PY := $(VENV)/bin/python
LEVEL ?= all

# What each level runs. `unit` needs nothing; `host` root, libvirt, QEMU and Chromium; `lab` boots guests.
MARK_unit := not host and not lab and not web and not soak
MARK_host := (host or web) and not lab and not soak
MARK_lab := lab and not soak
MARK_all := not soak

.PHONY: help setup check lint types imports unit test demo demo-kill demo-look demo-back demo-down golden exe bench soak lock sim

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: ## packages, virtual environment, npm modules (a second run ends at once)
	@VENV=$(VENV) build/setup.sh

check: lint types imports unit ## what every commit passes: style, types, floor plan, unit tests

lint:
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

types:
	@$(VENV)/bin/mypy

imports:
	@$(VENV)/bin/lint-imports --no-cache > .import-lint.out 2>&1 || { cat .import-lint.out; exit 1; }

unit:
	@$(PY) -m pytest tests -m "$(MARK_unit)"

test: setup ## all checks and tests; LEVEL=unit|host|lab|all
	@case "$(LEVEL)" in unit|host|lab|all) ;; *) echo "LEVEL=$(LEVEL): unit, host, lab or all" >&2; exit 2;; esac
	@$(PY) -m tests.lab.prerequisites $(LEVEL)
	@case "$(LEVEL)" in unit|all) $(MAKE) -s lint types imports;; esac
	@STORMS=300 $(PY) -m pytest tests -m "$(MARK_$(LEVEL))" --durations=5

demo: setup ## three hosts, one cluster, a machine on each, center on https://127.0.0.1:1997; HOSTS=1|3|5
	@$(PY) -m tests.lab.demo up $(or $(HOSTS),3)

demo-kill: ## kill girginosvm on the demo's leading host
	@$(PY) -m tests.lab.demo kill-leader

demo-look: ## what runs and leads in the demo
	@$(PY) -m tests.lab.demo look

demo-back: ## start in the demo what demo-kill killed
	@$(PY) -m tests.lab.demo back

demo-down: ## end the demo and delete all that it made
	@$(PY) -m tests.lab.demo down

golden: setup ## write the golden files anew; look at the difference before you commit it
	@# The help texts are made from the catalogue of verbs as it is on disk when the process starts: that comes first.
	@GOLDEN=write $(PY) -m pytest tests/floors/cli/test_cli_catalogue.py
	@GOLDEN=write $(PY) -m pytest tests -m "$(MARK_unit)" -k "golden"

exe: setup ## the executable, compiled into dist/girginosvm.dist, and its self-test (5 minutes and more)
	@PY=$(PY) nice build/compile.sh

bench: setup ## the figures, beside what they are compared with; ONLY=start,commits,cluster,rest,stages,place,fleet,lists,crowd,boot
	@ONLY=$(ONLY) $(PY) -m tests.bench

sim: setup ## random walks of a node, storms over a cluster and over its whole write path, in virtual time; SEEDS=100 FIRST=1
	@SEEDS=$(or $(SEEDS),100) FIRST=$(or $(FIRST),1) $(PY) -m pytest tests/sim

soak: setup ## long tests
	@$(PY) -m pytest tests -m soak

lock: ## write the lock files anew from requirements/*.in (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" requirements/run.in -o requirements/run.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" requirements/dev.in -o requirements/dev.txt
