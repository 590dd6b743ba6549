# Everything a contributor does, by name. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-beam check test test-core beam-compat bench bench-beam bench-frameworks bench-models bench-nightly bench-peers bench-smoke bench-suite site docs docs-tables clean

help: ## List these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

setup: $(VENV)/.dev ## Make the environment with everything a contributor needs
demo: $(VENV)/.demo ## Run a model over 1,797 images of digits: the main job, on real data
	@$(BIN)/python examples/digits/demo.py
demo-beam: $(VENV)/.dev ## Run a pipeline of Apache Beam on this machine and show its metrics
	@$(BIN)/python examples/runinference_metrics/main.py --model tiny

check: $(VENV)/.dev ## Lint, format, types, and generated documentation that is up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check

test: $(VENV)/.dev ## Run all tests
	$(BIN)/python -m pytest

test-core: $(VENV)/.dev ## Run the tests that need nothing but the package itself
	$(BIN)/python -m pytest -m core

beam-compat: $(VENV)/.dev ## Run Beam's own tests of its RunInference with the names of this package
	@$(BIN)/python -m tests.beam_compat

bench: $(VENV)/.dev ## Measure the engine against hand-written loops
	$(BIN)/python benchmarks/foundation.py

bench-smoke: $(VENV)/.dev ## Run every benchmark small on all engines, and build the website of their results
	rm -f build/smoke.sqlite
	mkdir -p build
	$(BIN)/runinference bench run all --smoke --engine all --store build/smoke.sqlite
	$(BIN)/runinference report build/smoke.sqlite -o build/smoke-site

# Sizes that take about as long each, on two cores.
bench-suite: RESULTS ?= build/suite
bench-suite: $(VENV)/.dev ## Measure every benchmark on all engines in less than an hour, into RESULTS=build/suite
	@mkdir -p $(RESULTS); failed=0; while read -r name what; do \
	    $(BIN)/runinference bench run $$what --engine all --store $(RESULTS)/store.sqlite --output $(RESULTS)/$$name.json || failed=1; \
	done < benchmarks/suite.txt; exit $$failed

# First all, and what is new among them; then larger models with fewer elements, and quick ones with more.
bench-nightly: STORE ?= benchmarks.sqlite
bench-nightly: $(VENV)/.dev ## Measure every benchmark at moderate size, into STORE=benchmarks.sqlite
	@failed=0; for what in "all --examples 500" \
	    "pytorch-image-classification:resnet101 pytorch-image-classification:resnet152 --examples 200" \
	    "pytorch-language-modeling:bert-large-uncased --examples 200" \
	    "engine-overhead onnx-mlp sklearn-table tensorflow-mnist xgboost-table --examples 50000"; do \
	    $(BIN)/runinference bench run $$what --engine all --store $(STORE) $(if $(MACHINE),--machine $(MACHINE)) || failed=1; \
	done; exit $$failed

bench-peers: $(PEERS)/.peers ## Measure against Apache Beam, Ray Data and Daft
	$(PEERS)/bin/python benchmarks/peers.py

bench-beam: $(PEERS)/.peers ## Measure the Beam transform against Beam's own
	$(PEERS)/bin/python benchmarks/beam_transform.py

bench-frameworks: $(PEERS)/.peers ## Measure the framework handlers against hand-written loops and Apache Beam
	$(PEERS)/bin/python benchmarks/frameworks.py

bench-models: $(PEERS)/.peers ## Measure several models: per key, side by side, exchanged while running, shared
	$(PEERS)/bin/python benchmarks/many_models.py

site docs: $(VENV)/.dev docs-tables ## Build the documentation site in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Open site/index.html"

docs-tables: $(VENV)/.dev ## Write the tables of the documentation that are generated from the code
	$(BIN)/python docs/generate.py

clean: ## Remove the environments and everything that was built
	rm -rf $(VENV) $(PEERS) build dist site demo bench-data .mypy_cache .pytest_cache .ruff_cache

# One environment serves the demo and the contributor; each installs what it needs when pyproject.toml changes.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed, this is {sys.version}. Say which: make PYTHON=python3.12 …")'
	@echo "Making an environment in $(VENV) (once) …"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "Installing runinference (once) …"
	@$(BIN)/python $(PIP_INSTALL) -e '.[cli,pandas,sklearn]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "Installing runinference and what its contributors need (once) …"
	@$(BIN)/python $(PIP_INSTALL) -e '.[dev]'
	@touch $@

$(PEERS)/.peers: pyproject.toml constraints.txt
	@echo "Installing the systems to measure against in $(PEERS) (once, some GB) …"
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python $(PIP_INSTALL) -e '.[peers]'
	@touch $@
