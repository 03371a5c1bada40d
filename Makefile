# Everything a reader or an author does with the book.  Needs python3 (3.11 or newer) and make, nothing else:
# the first target that needs packages makes .venv and installs the versions pinned in requirements.txt.

PYTHON ?= python3
PORT ?= 8000
JOBS ?= 2
CHAPTERS ?=
PYTEST_ARGS ?=
EXPERIMENTS ?= all
PROFILE ?= smoke
BENCHMARKS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Small matrices gain nothing from threads, and sums must not depend on how many cores there are.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export VECLIB_MAXIMUM_THREADS := 1
# Chapters draw with Jupyter's own backend, whatever the reader's shell says.
unexport MPLBACKEND

.DEFAULT_GOAL := help
.PHONY: help install book test chapters handouts lab reproduce bench serve lint lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## make .venv and install the pinned packages (the others do it for you)

# The stamp is written last, so an interrupted installation starts again.
$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "The book needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name a newer one:  make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@rm -f $@
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing the pinned packages into $(VENV) (a few minutes, once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

book: $(INSTALLED)  ## build the site in _build/html; any warning or failing chapter is an error
	@$(BIN)/python tools/build_book.py

test: $(INSTALLED)  ## unit tests, chapters re-executed and compared, the site in a browser
	$(BIN)/python -m pytest -n $(JOBS) --no-loadscope-reorder $(PYTEST_ARGS)

chapters: $(INSTALLED)  ## re-execute and normalise the chapters, or CHAPTERS="chapters/a.ipynb ..."
	@$(BIN)/python tools/run_chapters.py --jobs $(JOBS) $(CHAPTERS)

handouts: $(INSTALLED)  ## copy the chapters without solutions to _build/handouts, for a class
	@$(BIN)/python tools/make_handouts.py $(CHAPTERS)

lab: $(INSTALLED)  ## open the chapters in JupyterLab
	@$(BIN)/jupyter lab chapters

reproduce: $(INSTALLED)  ## run what is missing of EXPERIMENTS=all with PROFILE=smoke, book or paper in JOBS=2 processes
	@$(BIN)/hmlib reproduce $(EXPERIMENTS) --profile $(PROFILE) --jobs $(JOBS)

# The pins of the book hold for what the peers need, too.
$(VENV)/.peers: benchmarks/requirements.txt $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.txt -r $<
	@touch $@

bench: $(VENV)/.peers  ## time the library against its peers, all or BENCHMARKS="recall ..."
	@$(BIN)/python benchmarks/run.py $(BENCHMARKS)

serve: $(INSTALLED)  ## serve _build/html on http://127.0.0.1:8000 (PORT=...)
	@test -f _build/html/index.html || { echo "There is no site yet: run  make book" >&2; exit 1; }
	@echo "http://127.0.0.1:$(PORT)  (Ctrl-C stops)"
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

lint: $(INSTALLED)  ## formatting, ruff's rules, and the normal form of the notebooks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python tools/normalise.py --check

lock: $(INSTALLED)  ## pin requirements.txt again after pyproject.toml changed (UPGRADE=--upgrade for newer ones)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	  --fork-strategy fewest --extra book --extra test --extra dev --no-emit-index-url --no-annotate \
	  $(UPGRADE) pyproject.toml -o requirements.txt

clean:  ## remove what was built (not .venv)
	rm -rf _build chapters/.ipynb_checkpoints .pytest_cache .ruff_cache *.egg-info
	find hmlib tests tools benchmarks -name __pycache__ -prune -exec rm -rf {} +
