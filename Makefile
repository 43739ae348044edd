# make demo: see the whole pipeline on a phantom, without any data. make test: run the tests.
# Every step is done once; `make clean` forgets the demo, `make distclean` the environment too.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo test lint clean distclean

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

CONFIG := configs/cggm/brats_unet_demo.py
WORK := work_dirs/brats_unet_demo
RAW := data/brats_phantom_nifti
STORE := data/brats_phantom
CASES := 22

demo: $(WORK)/test.log $(WORK)/slices.png $(WORK)/balance.png
	@sed -n '/^| *Region/,/^| *mean/p; /^+-/p' $(WORK)/test.log | uniq
	@echo "Pictures: $(WORK)/slices.png (truth and prediction), $(WORK)/balance.png (B, score, cosine)"
	@echo "Segmentations: $(WORK)/segmentations"

test: $(VENV)/.dev
	$(PY) -m pytest -n 2

lint: $(VENV)/.dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .

$(VENV)/.demo $(VENV)/.dev: $(VENV)/.%: setup.py
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet --editable '.[$*]'
	touch $@

$(RAW)/.done: $(VENV)/.demo
	$(PY) tools/dataset_converters/brats_phantom.py $(RAW) --cases $(CASES)
	touch $@

$(STORE)/.done: $(RAW)/.done
	$(PY) tools/dataset_converters/brats.py $(RAW) --out $(STORE) --split 0.7 0.1 0.2
	touch $@

# --resume: an interrupted training goes on where it stopped.
$(WORK)/.trained: $(STORE)/.done
	$(PY) tools/train.py $(CONFIG) --resume
	touch $@

$(WORK)/test.log: $(WORK)/.trained
	$(PY) tools/test.py $(CONFIG) $$(cat $(WORK)/last_checkpoint) --out $(WORK)/segmentations 2>&1 | tee $@

$(WORK)/slices.png: $(WORK)/test.log
	$(PY) tools/analysis_tools/plot_slices.py $(STORE) $(WORK)/segmentations --out $@

$(WORK)/balance.png: $(WORK)/.trained
	$(PY) tools/analysis_tools/plot_balance.py $(WORK) --out $@

clean:
	rm -rf $(WORK) $(STORE) $(RAW)

distclean: clean
	rm -rf $(VENV)
