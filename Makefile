# `make quickstart`: everything from an empty machine to classified digits. `make dense-demo`: from there to
# detected, segmented and posed ones. `make test`: linter and all tests; `make test-fast`: in two minutes.
# `make test-paddle PADDLE=3.3.1`: a short pass on another Paddle, in an environment of its own.
PYTHON ?= python3
VENV ?= .venv

export OMP_NUM_THREADS ?= $(shell nproc)

.PHONY: quickstart dense-demo lint test test-fast test-paddle

$(VENV)/ready: setup.py
	$(PYTHON) -c 'import sys; (3, 9) <= sys.version_info < (3, 12) or sys.exit("error: Python 3.9 to 3.11 is needed (numpy 1.24.4, which paddleclas pins): make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet -e '.[cpu,test]'
	$(VENV)/bin/python -m ppcls_mixformer fetch paddleclas paddledet paddleseg
	touch $@

quickstart: $(VENV)/ready
	$(VENV)/bin/python tools/quick_start.py

dense-demo: $(VENV)/ready
	test -f output/digits/MixFormer_B0_digits.pdparams || $(VENV)/bin/python tools/quick_start.py
	$(VENV)/bin/python tools/dense_demo.py

lint: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

test: lint
	$(VENV)/bin/python -m pytest

test-fast: lint
	$(VENV)/bin/python -m pytest -m "not slow and not network"

# Golden files, then training, evaluation, export and prediction through PaddleClas.
test-paddle:
	test -n "$(PADDLE)" || { echo "error: name a version: make test-paddle PADDLE=3.3.1"; exit 1; }
	test -d .venv-$(PADDLE) || $(PYTHON) -m venv .venv-$(PADDLE)
	.venv-$(PADDLE)/bin/pip install --quiet -e '.[paddleclas,test]' paddlepaddle==$(PADDLE)
	.venv-$(PADDLE)/bin/python -m ppcls_mixformer fetch
	.venv-$(PADDLE)/bin/python -m pytest tests/network tests/paddleclas/test_export.py tests/paddleclas/test_paddleclas.py
