# make demo: see the whole pipeline on a phantom, without any data. make quickstart: a first result on real data, in a
# minute. make test: run the tests. make docs: build the documentation's site into build/docs/html; warnings are errors.
# make test-lowest: run them with the oldest versions that pyproject.toml admits, in an environment of their own.
# Every step is done once; `make clean` forgets the demo, `make distclean` the environment too.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo quickstart test test-lowest lint types docs clean distclean

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
LOWEST := .venv-lowest

# Threads that wait for each other sleep, so that processes beside them have the cores.
export OMP_WAIT_POLICY ?= PASSIVE

CONFIG := configs/cggm/brats_unet_demo.py
WORK := work_dirs/cggm/brats_unet_demo
RAW := data/brats_phantom_nifti
STORE := data/brats_phantom
CASES := 24

demo: $(WORK)/test.log $(WORK)/slices.png $(WORK)/balance.png
	@sed -n '/^| *Region/,/^| *mean/p; /^+-/p' $(WORK)/test.log | uniq
	@echo "Pictures: $(WORK)/slices.png (truth and prediction), $(WORK)/balance.png (B and score)"
	@echo "Segmentations: $(WORK)/segmentations"

quickstart: $(VENV)/.quickstart
	$(VENV)/bin/mmcggm quickstart

test: $(VENV)/.dev
	$(PY) -m pytest -n 2 --dist worksteal

test-lowest: $(LOWEST)/.installed
	$(LOWEST)/bin/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/.dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .

types: $(VENV)/.dev
	$(VENV)/bin/mypy

docs: $(VENV)/.docs
	$(PY) -m sphinx --fail-on-warning --keep-going -b html docs build/docs/html

$(VENV)/.demo $(VENV)/.dev $(VENV)/.quickstart $(VENV)/.docs: $(VENV)/.%: pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet --editable '.[$*]'
	touch $@

$(LOWEST)/.installed: pyproject.toml .ci/lowest.py
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --upgrade pip
	$(LOWEST)/bin/python -m pip install --quiet --no-deps --editable .
	$(LOWEST)/bin/python .ci/lowest.py > $(LOWEST)/requirements.txt
	$(LOWEST)/bin/python -m pip install --quiet --requirement $(LOWEST)/requirements.txt
	touch $@

$(RAW)/.done: $(VENV)/.demo
	$(PY) tools/dataset_converters/brats_phantom.py $(RAW) --cases $(CASES)
	touch $@

$(STORE)/.done: $(RAW)/.done
	$(PY) tools/dataset_converters/brats.py $(RAW) --out $(STORE) --split 0.6 0.05 0.35
	touch $@

# --resume: an interrupted training goes on where it stopped. Small layers make its threads wait often, and nothing
# runs beside them here, so they spin: twice as fast as asleep.
$(WORK)/.trained: $(STORE)/.done
	OMP_WAIT_POLICY=ACTIVE $(PY) tools/train.py $(CONFIG) --resume
	touch $@

$(WORK)/test.log: $(WORK)/.trained
	OMP_WAIT_POLICY=ACTIVE $(PY) tools/test.py $(CONFIG) $$(cat $(WORK)/last_checkpoint) --out $(WORK)/segmentations 2>&1 | tee $@

$(WORK)/slices.png: $(WORK)/test.log
	$(PY) tools/analysis_tools/plot_slices.py $(STORE) $(WORK)/segmentations --out $@

$(WORK)/balance.png: $(WORK)/.trained
	$(PY) tools/analysis_tools/plot_balance.py $(WORK) --out $@

clean:
	rm -rf $(WORK) $(STORE) $(RAW)

distclean: clean
	rm -rf $(VENV) $(LOWEST)
