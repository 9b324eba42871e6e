# make setup, then make run (the default study) or make debug (10 items per dataset).
# make test runs every check and test. make unit runs the tests that need no pipeline.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1

.PHONY: setup run debug test unit lint bench clean installed

setup: installed
	@echo "Ready. Next: . $(BIN)/activate, then wor doctor. Or make run."

run: installed
	wor run

debug: installed
	wor run --profile debug

# tests/conftest.py orders the files. Without --no-loadscope-reorder, xdist would start with those that hold most tests.
test: lint $(VENV)/.ray
	tests/system-packages.sh
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

unit: installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not real and not dvc"

lint: installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# Compares the engine with other tools, in its own environment. Takes half an hour on 2 cores and writes benchmarks/RESULTS.md.
bench:
	$(MAKE) installed VENV=.venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	HF_HUB_OFFLINE=1 .venv-bench/bin/python -m pytest benchmarks
	HF_HUB_OFFLINE=1 .venv-bench/bin/python -m benchmarks.engine

installed: $(VENV)/.installed .dvc/plots/offline.html
	@test -d .git || git init -q
	@test -d .dvc || $(BIN)/dvc init -q

$(VENV)/.installed: requirements.txt requirements-data.txt constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-data.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# The tests of compute.backend: ray need Ray.
$(VENV)/.ray: requirements-ray.txt constraints.txt $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-ray.txt
	touch $@

# `dvc plots` writes this page. It opens without a network.
.dvc/plots/offline.html: .dvc/plots/page.html wor/figures/offline.py $(VENV)/.installed
	$(BIN)/python -m wor.figures.offline

clean:
	rm -rf $(VENV) .venv-bench
