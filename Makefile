# Each target does its own set-up in .venv, with the versions that are tested.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
QUICK  := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE

.PHONY: run test test-all lint bench clean
.DEFAULT_GOAL := run

run: $(VENV)/.run          ## The main job: train, score and draw the built-in recording
	$(BIN)/neuroblend run simulated --folds 5 --seeds 1 --epochs 40 --out runs/simulated

# nlb_tools pins a pandas that this Python does not have; tests compare with it, nothing needs it
test: $(VENV)/.dev         ## The test suite, without trainings that are marked slow
	$(QUICK) $(BIN)/python -m pytest -n 2 -m "not slow"

test-all: $(VENV)/.dev     ## Every test
	$(QUICK) $(BIN)/python -m pytest -n 2

lint: $(VENV)/.dev         ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev        ## Benchmarks, side by side with what one would use instead
	@for file in benchmarks/*.py; do echo "== $$file"; $(QUICK) $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) build dist

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python pyproject.toml .ci/constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -c .ci/constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml .ci/constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -c .ci/constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps nlb_tools==0.0.4
	@touch $@ $(VENV)/.run
