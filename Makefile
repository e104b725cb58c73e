# The two commands a new user needs: `make demo` and `make test`. `make help` lists the rest.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# TORCH: "cpu" installs the small CPU build. On a machine with an accelerator give pip's own words,
# for example  make setup TORCH="torch --index-url https://download.pytorch.org/whl/cu128"
TORCH  ?= cpu
TORCH_CPU_VERSION := 2.13.0
TORCH_CPU_INDEX   := https://download.pytorch.org/whl/cpu
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check
RUNS   ?= atlas-demo

ALL    := train,data,slurm,ray,web,docs,dev

.PHONY: help setup setup-all demo test lint format types unit properties docs docs-update docs-figures bench lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

setup: $(VENV)/.ready  ## make .venv with what studies need, CPU torch by default

setup-all: $(VENV)/.ready-all  ## the same with every extra and the tools of development

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "atlas-scaling needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

# torch comes first and apart: a plain `pip install torch` on Linux fetches gigabytes of CUDA, and
# a lock file must never replace the build that fits this machine's accelerator.
$(VENV)/.torch-$(firstword $(TORCH)): | $(BIN)/python
ifeq ($(TORCH),cpu)
	@echo "installing torch $(TORCH_CPU_VERSION), CPU build"
	@$(PIP) install --no-index --no-deps torch==$(TORCH_CPU_VERSION) 2>/dev/null \
	  || $(PIP) install --no-deps --index-url $(TORCH_CPU_INDEX) torch==$(TORCH_CPU_VERSION)
else
	$(PIP) install $(TORCH)
endif
	@touch $@

$(VENV)/.ready: pyproject.toml requirements.lock $(VENV)/.torch-$(firstword $(TORCH))
	@echo "installing atlas-scaling and what it needs"
	@$(PIP) install --constraint requirements.lock --editable '.[train]'
	@touch $@

$(VENV)/.ready-all: pyproject.toml requirements.lock $(VENV)/.torch-$(firstword $(TORCH))
	@echo "installing atlas-scaling with every extra and the tools of development"
	@$(PIP) install --constraint requirements.lock --editable '.[$(ALL)]'
	@touch $@ $(VENV)/.ready

demo: setup  ## a small multilingual study on real text: runs, fits, answers, report.html
	$(BIN)/atlas demo --output $(RUNS)

test: setup-all lint unit docs  ## lint, types, all tests, the docs site

lint: setup-all  ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# A scheduler decides when its jobs begin, a busy machine too late at times: those get a second try.
unit: setup-all
	$(BIN)/python -m pytest -m "not cluster" --numprocesses 2 --dist loadfile
	$(BIN)/python -m pytest -m cluster || $(BIN)/python -m pytest -m cluster --last-failed

properties: setup-all  ## the property tests with other random examples than make test draws
	$(BIN)/python -m pytest -m "hypothesis and not cluster" --hypothesis-profile=search \
	  --numprocesses 2 --dist loadfile

format: setup-all  ## put the code into the project's format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

docs: setup-all  ## the docs site, in docs/_build/html; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going --quiet -b html docs docs/_build/html

# HAVE, for the pages that show the study of make demo: HAVE=atlas-demo=atlas-demo
docs-update: setup-all  ## write what the commands on the docs pages print into the pages
	$(BIN)/python tools/doc_examples.py --update $(addprefix --have ,$(HAVE))

docs-figures: setup-all  ## draw the figures of the docs pages again
	$(BIN)/python tools/doc_examples.py --figures $(addprefix --have ,$(HAVE))

bench: setup-all  ## run the benchmarks (minutes)
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

lock: setup-all  ## write requirements.lock from what is installed, torch left out
	$(PIP) freeze --exclude-editable | grep -viE '^(torch|nvidia-|triton|-e )' > requirements.lock

clean:  ## remove the environment and caches; corpora and studies stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist docs/_build
