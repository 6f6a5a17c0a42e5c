# `make quickstart`: everything from an empty machine to classified digits. `make dense-demo`: from there to
# detected, segmented and posed ones. `make test`: linter and all tests; `make test-fast`: the quick ones.
# `make test-journeys`: what a user does, through each host.
# `make soak`: kills trainings and exports, fifty each, and says what they left; then sends a service 1,000 requests,
# with PaddleX in an environment of its own. Half an hour.
# `make test-paddle PADDLE=3.3.1`: a short pass on another Paddle, in an environment of its own.
# `make PYTHON=python3.13 VENV=.venv-3.13 test` takes another interpreter, in an environment of its own.
PYTHON ?= python3
VENV ?= .venv

export OMP_NUM_THREADS ?= $(shell nproc)

.PHONY: quickstart dense-demo lint test test-fast test-journeys test-paddle soak

$(VENV)/ready: setup.py constraints.txt
	@$(PYTHON) -c 'import sys; (3, 9) <= sys.version_info < (3, 14) or sys.exit("error: this is Python %d.%d; 3.9 to 3.13 is needed (paddlepaddle has no wheel for another one): make PYTHON=python3.13" % sys.version_info[:2])'
	$(PYTHON) -m venv "$(VENV)"
	"$(VENV)/bin/python" -m pip install --quiet -c constraints.txt -e '.[cpu,test]'
	"$(VENV)/bin/python" -m ppcls_mixformer fetch paddleclas paddledet paddleseg
	touch "$@"

quickstart: $(VENV)/ready
	"$(VENV)/bin/python" -m ppcls_mixformer quickstart

dense-demo: $(VENV)/ready
	test -f output/digits/MixFormer_B0_digits.pdparams || "$(VENV)/bin/python" -m ppcls_mixformer quickstart
	"$(VENV)/bin/python" tools/dense_demo.py

lint: $(VENV)/ready
	"$(VENV)/bin/python" -m ruff check .
	"$(VENV)/bin/python" -m ruff format --check .

test: lint
	"$(VENV)/bin/python" -m pytest

test-fast: lint
	"$(VENV)/bin/python" -m pytest -m "not slow and not network"

# Training, evaluation, export and prediction through each host.
test-journeys: $(VENV)/ready
	"$(VENV)/bin/python" -m pytest tests/paddleclas/test_paddleclas.py tests/paddleclas/test_export.py \
	    tests/paddledet/test_det_journeys.py tests/paddleseg/test_seg_commands.py

# The newest paddle2onnx that imports on Paddle 2.
PADDLE2ONNX = $(if $(filter 2.%,$(PADDLE)),1.3.1,2.1.0)

# Golden files, then training, evaluation, export and prediction through PaddleClas.
test-paddle:
	@test -n "$(PADDLE)" || { echo "error: name a version: make test-paddle PADDLE=3.3.1"; exit 1; }
	test -d ".venv-$(PADDLE)" || $(PYTHON) -m venv ".venv-$(PADDLE)"
	sed 's/^paddlepaddle==[^ ]*/paddlepaddle==$(PADDLE)/; s/^paddle2onnx==[^ ]*/paddle2onnx==$(PADDLE2ONNX)/' \
	    constraints.txt > ".venv-$(PADDLE)/constraints.txt"
	".venv-$(PADDLE)/bin/python" -m pip install --quiet -c ".venv-$(PADDLE)/constraints.txt" -e '.[cpu,test]'
	".venv-$(PADDLE)/bin/python" -m ppcls_mixformer fetch
	".venv-$(PADDLE)/bin/python" -m pytest tests/network tests/predict/test_classifier.py \
	    tests/paddleclas/test_export.py tests/paddleclas/test_paddleclas.py

# PaddleX and paddleclas take different builds of OpenCV. The versions are those of docs/en/Serving.md.
SERVING = .venv-paddlex

$(SERVING)/ready: setup.py
	$(PYTHON) -m venv "$(SERVING)"
	"$(SERVING)/bin/python" -m pip install --quiet -e '.[paddlex]' paddlex==3.7.2 paddlepaddle==3.1.1
	touch "$@"

soak: $(VENV)/ready $(SERVING)/ready
	"$(VENV)/bin/python" benchmarks/soak.py
	test -f output/digits/inference/inference.yml || "$(VENV)/bin/python" -m ppcls_mixformer quickstart
	"$(SERVING)/bin/python" benchmarks/serving.py output/digits/inference dataset/digits/test/00*1.png
