# Everything starts here. `make demo` and `make test` set up what they need: a Python 3.11 or newer is enough.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Dozens of processes import the same packages, those of a bank at once: compiled once, they start sooner.
unexport PYTHONDONTWRITEBYTECODE

UV_VERSION := 0.13.9
UV := $(shell command -v uv || echo .tools/bin/uv)
PYTHON := .venv/bin/python
GOBANK := ./gobank
INSTALL = $(UV) pip install --quiet --python $(PYTHON) --require-hashes -r
COMPILE = $(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command "make lock"

.PHONY: help demo up down test unit simulate check format bench soak docs lock policy images publish pin
help: ## Show what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## / /' | while read -r name what; do printf '%-8s %s\n' "$$name" "$$what"; done

demo: .venv/local ## Two users, one transfer, from sign-up to audit
	@$(GOBANK) demo

up: .venv/local ## Start the bank on this machine
	@$(GOBANK) up --detach

down: .venv/local ## Stop it
	@$(GOBANK) down

# A file's tests stay together: many share an environment. Each brings up to 0.7 GiB up, so four at most. The
# order is that of tests/conftest.py.
PYTEST := $(PYTHON) -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: .venv/dev ## Run every test
	@$(PYTEST)

unit: .venv/dev ## Run the tests that need no process but their own
	@$(PYTEST) tests/apps tests/test_repository.py

simulate: .venv/dev ## Run the money code on many schedules (SCHEDULES=4000, FIRST=0)
	@$(PYTHON) -m tests.simulator --first $(or $(FIRST),0) --schedules $(or $(SCHEDULES),4000)

check: .venv/dev ## Lint, types, import contracts, pins
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(PYTHON) -m pytest -q tests/test_repository.py

format: .venv/dev ## Put the code in shape
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

bench: .venv/dev ## Measure it, beside what the store alone can do
	@$(PYTHON) -m environments.bench

soak: .venv/dev ## Hours of faults: make soak SECONDS=3600 SEED=1, or TRANSFERS=10000; MORE=--no-kills
	@PYTHONPATH=. $(PYTHON) -P -m tests.chaos.soak $(if $(SEED),--seed $(SEED)) \
		$(if $(TRANSFERS),--transfers $(TRANSFERS)) $(if $(SECONDS),--seconds $(SECONDS)) $(MORE)

policy: platform/policies/.venv ## Set up what the policy pack needs

docs: .venv/dev ## Draw what the documents show of the program
	@mkdir -p docs
	@$(GOBANK) diagram dev --output docs/architecture.svg

images: .venv/dev ## Build the services' images from Debian packages, without Docker
	@$(PYTHON) -m tests.deployed.images

publish: .venv/dev ## Push the images and list their digests: REGISTRY=HOST/prod- TAG=main-1
	@$(PYTHON) .ci/publish.py "$$REGISTRY" "$$TAG"

pin: ## Let a stack run the images of such a list: STACK=prod IMAGES=FILE
	@pulumi config set --stack "$$STACK" gobanking:imageSource given
	@number=0; while read -r image; do \
		pulumi config set --stack "$$STACK" --path "gobanking:images[$$number]" "$$image"; \
		number=$$((number + 1)); done < "$$IMAGES"

lock: $(UV) ## Compile the pins of every group of dependencies anew
	@$(COMPILE) --upgrade --group dev -o requirements/dev.txt
	@for group in apps local platform; do \
		$(COMPILE) --upgrade --group $$group -c requirements/dev.txt -o requirements/$$group.txt; done
	@$(COMPILE) --upgrade --group policy -o requirements/policy.txt

# What `pulumi up --policy-pack platform/policies` runs in.
platform/policies/.venv: requirements/policy.txt | $(UV)
	@$(UV) venv --quiet --clear --python ">=3.11" $@
	@$(UV) pip install --quiet --python $@/bin/python --require-hashes -r $<
	@touch $@

.tools/bin/uv:
	@python3 -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# The engine for tests/engine where no Pulumi CLI is installed: from Go modules, six minutes the first time.
PULUMI_CLI := github.com/pulumi/pulumi/pkg/v3
.tools/bin/pulumi: tools/pulumi/go.mod tools/pulumi/go.sum
	@command -v go > /dev/null || { echo "Go builds it: install Go, or a Pulumi CLI on PATH" >&2; exit 1; }
	@mkdir -p $(@D)
	@version=$$(go -C tools/pulumi list -m -f '{{.Version}}' $(PULUMI_CLI)) && \
		nice -n 19 go -C tools/pulumi build -trimpath -buildvcs=false -o $(abspath $@) \
		-ldflags "-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=$$version" \
		$(PULUMI_CLI)/cmd/pulumi

.tools/bin/actionlint: tools/actionlint/go.mod tools/actionlint/go.sum
	@command -v go > /dev/null || { echo "Go builds it: install Go, or actionlint on PATH" >&2; exit 1; }
	@mkdir -p $(@D)
	@nice -n 19 go -C tools/actionlint build -trimpath -buildvcs=false -o $(abspath $@) \
		github.com/rhysd/actionlint/cmd/actionlint

.venv/bin/python: | $(UV)
	@$(UV) venv --quiet --no-python-downloads --python 3.11 .venv 2>/dev/null || \
		$(UV) venv --quiet --no-python-downloads --python ">=3.11" .venv

.venv/local: requirements/local.txt | .venv/bin/python
	@echo "Installing what the bank needs into .venv, once (about 180 MB)" >&2
	@$(INSTALL) requirements/local.txt
	@touch $@

.venv/dev: requirements/dev.txt | .venv/bin/python
	@echo "Installing what the checks and tests need into .venv, once" >&2
	@$(INSTALL) requirements/dev.txt
	@touch $@ .venv/local
