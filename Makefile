# `make quickstart`: everything from an empty machine to classified digits. `make dense-demo`: from there to
# detected, segmented and posed ones. `make photos-demo`: the same way as the quick start, with photographs.
# `make test`: linter and all tests; `make test-fast`: the quick ones.
# `make test-journeys`: what a user does, through each host.
# `make soak`: kills trainings and exports, fifty each, and says what they left; then sends a service 1,000 requests,
# with PaddleX in an environment of its own. Half an hour.
# `make test-paddle PADDLE=3.3.1`: a short pass on another Paddle, in an environment of its own.
# `make test-gpu-wheel`: whether a GPU has kernels for every operator, asked of paddlepaddle-gpu (759 MB); no GPU needed.
# `make PYTHON=python3.13 VENV=.venv-3.13 test` takes another interpreter, in an environment of its own.
PYTHON ?= python3
VENV ?= .venv

export OMP_NUM_THREADS ?= $(shell nproc)

# Test files are shared out to processes of one thread each: much of their time is that of starting Python.
JOBS ?= $(shell nproc | awk '{ print $$1 < 4 ? $$1 : 4 }')
PYTEST = OMP_NUM_THREADS=1 "$(1)/bin/python" -m pytest -n $(JOBS) --dist loadfile

.PHONY: quickstart photos-demo dense-demo lint test test-fast test-journeys test-paddle test-gpu-wheel soak

$(VENV)/ready: setup.py constraints.txt
	@$(PYTHON) -c 'import sys; (3, 9) <= sys.version_info < (3, 14) or sys.exit("error: this is Python %d.%d; 3.9 to 3.13 is needed (paddlepaddle has no wheel for another one): make PYTHON=python3.13" % sys.version_info[:2])'
	$(PYTHON) -m venv "$(VENV)"
	"$(VENV)/bin/python" -m pip install --quiet -c constraints.txt -e '.[cpu,test]'
	"$(VENV)/bin/python" -m ppcls_mixformer fetch paddleclas paddledet paddleseg
	touch "$@"

quickstart: $(VENV)/ready
	"$(VENV)/bin/python" -m ppcls_mixformer quickstart

photos-demo: $(VENV)/ready
	"$(VENV)/bin/python" tools/photos_demo.py

dense-demo: $(VENV)/ready
	test -f output/digits/MixFormer_B0_digits.pdparams || "$(VENV)/bin/python" -m ppcls_mixformer quickstart
	"$(VENV)/bin/python" tools/dense_demo.py

lint: $(VENV)/ready
	"$(VENV)/bin/python" -m ruff check .
	"$(VENV)/bin/python" -m ruff format --check .

test: lint
	$(call PYTEST,$(VENV))

test-fast: lint
	$(call PYTEST,$(VENV)) -m "not slow and not network"

# Training, evaluation, export and prediction through each host.
test-journeys: $(VENV)/ready
	$(call PYTEST,$(VENV)) tests/paddleclas/test_paddleclas.py tests/paddleclas/test_export.py \
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
	$(call PYTEST,.venv-$(PADDLE)) tests/network tests/predict/test_classifier.py \
	    tests/paddleclas/test_export.py tests/paddleclas/test_paddleclas.py

# The newest GPU wheel on PyPI, on its CPU device: kernels for a GPU, operator counts, and all of the selftest.
test-gpu-wheel:
	test -d .venv-gpu || $(PYTHON) -m venv .venv-gpu
	.venv-gpu/bin/python -m pip install --quiet -c constraints.txt -e . paddlepaddle-gpu "setuptools<81" pytest
	.venv-gpu/bin/python -m pytest tests/selftest
	.venv-gpu/bin/python -m ppcls_mixformer selftest --output output/selftest/gpu_wheel.json

# PaddleX and paddleclas take different builds of OpenCV. The versions are those of docs/en/Serving.md.
SERVING = .venv-paddlex

$(SERVING)/ready: setup.py
	$(PYTHON) -m venv "$(SERVING)"
	"$(SERVING)/bin/python" -m pip install --quiet -e '.[paddlex]' paddlex==3.7.2 paddlepaddle==3.1.1
	touch "$@"

soak: $(VENV)/ready $(SERVING)/ready
	"$(VENV)/bin/python" benchmarks/soak.py
	test -f output/digits/inference/inference.yml || "$(VENV)/bin/python" -m ppcls_mixformer quickstart
	"$(SERVING)/bin/python" benchmarks/serving.py output/digits/inference dataset/handwritten/val/*/00*1.png
