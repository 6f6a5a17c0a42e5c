# `make quickstart`: everything from an empty machine to classified digits. `make test`: the tests.
PYTHON ?= python3
VENV ?= .venv
CONFIG = configs/quick_start/MixFormer_B0_digits.yaml
OUT = output/digits

export OMP_NUM_THREADS ?= $(shell nproc)

.PHONY: quickstart test

$(VENV)/ready: setup.py
	$(PYTHON) -c 'import sys; (3, 9) <= sys.version_info < (3, 12) or sys.exit("error: Python 3.9 to 3.11 is needed (numpy 1.24.4, which paddleclas pins): make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet -e '.[cpu,test]'
	$(VENV)/bin/python -m ppcls_mixformer fetch
	touch $@

quickstart: $(VENV)/ready
	$(VENV)/bin/python tools/prepare_digits.py
	test -f $(OUT)/MixFormer_B0/epoch_8.pdparams || $(VENV)/bin/python tools/train.py -c $(CONFIG)
	$(VENV)/bin/python tools/eval.py -c $(CONFIG) -o Global.pretrained_model=$(OUT)/MixFormer_B0/best_model
	$(VENV)/bin/python tools/export_model.py -c $(CONFIG) -o Global.pretrained_model=$(OUT)/MixFormer_B0/best_model
	$(VENV)/bin/python tools/predict.py --inference_model_dir $(OUT)/inference --infer_imgs dataset/digits/test \
	  --class_id_map_file dataset/digits/label_list.txt --resize_short 32 --crop_size 32 --topk 3 --use_gpu False

test: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/python -m pytest
