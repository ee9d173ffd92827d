# Every command a person needs; `make help` lists them. Each target does nothing twice that is already done.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCAL := $(PYTHON) hack/local
CLUSTER ?= gemma-dev
PYTEST := $(BIN)/python -m pytest
SITE := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs

.PHONY: help demo test check verify unit integration e2e load test-full bench table real-vllm cluster images docs release manifests lock venv clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

demo: venv ## A GemmaDeployment answered in a local cluster
	$(BIN)/python hack/demo.py

test: check verify unit integration e2e ## check, verify, unit, integration, e2e; without what make load holds

check: venv ## ruff, mypy, import contracts, the documentation site
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(SITE) build --strict --quiet

verify: venv ## Generated files (CRD, chart copy, API reference, hardware table) are up to date
	$(BIN)/python hack/generate.py --check

unit: venv ## Pure code, in seconds
	$(PYTEST) tests/unit

integration: venv ## Engine stand-in as a process; real API server, scheduler and kwok nodes; the real LiteLLM
	$(LOCAL) binaries --for controlplane
	$(LOCAL) binaries --for charts
	$(PYTHON) hack/litellm_venv.py
	$(PYTEST) tests/standin/conformance
	$(PYTEST) tests/integration

e2e: venv ## The chart in a real kind cluster, chat through the router
	$(PYTEST) tests/e2e -m "not long"
	@echo "==> streams under load while pods come and go are in make load"

load: venv ## Streams under load on three nodes: scaling, rollouts, lost nodes, an HPA (an hour)
	$(PYTEST) tests/e2e -m long -s

test-full: test load ## make test, then make load

bench: venv ## Ratios: planning, the router, simulating, applying, memory, writes after a restart
	$(LOCAL) binaries --for controlplane
	$(BIN)/python -m bench

table: venv ## The figures of docs/simulation-results.md: every policy on every trace, all again (a few minutes)
	$(BIN)/python hack/simulation_table.py

real-vllm: venv ## The conformance suite against the real vLLM on CPU (about 10 minutes)
	PYTHONPATH=hack $(BIN)/python -m real_vllm install
	$(PYTEST) tests/standin/conformance --engine real

cluster: venv ## A local cluster to keep: chart installed, ready for a GemmaDeployment
	$(BIN)/python hack/demo.py --no-chat --name $(CLUSTER)

images: ## Build the images of operator, stand-in and router
	$(LOCAL) engine
	$(LOCAL) images

docs: venv ## Serve the documentation site on http://127.0.0.1:8000, rebuilt at each change
	$(SITE) serve --strict

release: venv ## Wheel, charts, images, SBOM and checksums of this version in dist/, checked
	PYTHONPATH=hack $(BIN)/python -m release $(RELEASE)

manifests: venv ## Write every generated file
	$(BIN)/python hack/generate.py

lock: venv ## Lock the dependencies anew
	cd requirements && for name in runtime dev standin litellm; do \
	  ../$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q $$name.in -o $$name.txt; done

venv: $(VENV)/.stamp

$(VENV)/.stamp: requirements/dev.txt pyproject.toml
	@echo "==> Python environment in $(VENV) (about a minute)"
	@$(PYTHON) hack/python_env.py $(VENV)
	@touch $@

clean: ## Remove the environment, the local clusters and what was built from this tree
	-$(LOCAL) cluster down --name gemma-demo
	-$(LOCAL) cluster down --name gemma-e2e
	-$(LOCAL) cluster down --name gemma-load
	-$(LOCAL) cluster down --name $(CLUSTER)
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
