# make setup, then make run (the default study) or make debug (10 items per dataset).
# make test runs every check and test. make unit runs the tests that need no pipeline.
# PYTHON=PATH and VENV=FOLDER choose another Python and another folder.
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
# They would show pip and the stages other packages than the environment's.
unexport PYTHONPATH PYTHONHOME
MAKE_ENVIRONMENT = python=$$(tools/find_python.sh $(PYTHON)) && "$$python" tools/environment.py $(VENV) $(if $(PYTHON),--exactly)

.PHONY: setup run debug test unit lint bench clean installed always

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
	$(MAKE) .venv-bench/.installed VENV=.venv-bench ADD=benchmarks/requirements.txt
	HF_HUB_OFFLINE=1 .venv-bench/bin/python -m pytest benchmarks
	HF_HUB_OFFLINE=1 .venv-bench/bin/python -m benchmarks.engine

installed: $(VENV)/.installed .dvc/plots/offline.html
	@tools/repository.sh $(BIN)

# Looked at each time, as a folder may have been copied or renamed since.
$(VENV)/.installed: always
	@$(MAKE_ENVIRONMENT) $(if $(ADD),--add $(ADD))

# The tests of compute.backend: ray need Ray.
$(VENV)/.ray: requirements-ray.txt constraints.txt $(VENV)/.installed
	@$(MAKE_ENVIRONMENT) --add requirements-ray.txt
	touch $@

# `dvc plots` writes this page. It opens without a network.
.dvc/plots/offline.html: .dvc/plots/page.html wor/figures/offline.py $(VENV)/.installed
	$(BIN)/python -m wor.figures.offline

clean:
	rm -rf $(VENV) .venv-bench
