"""Prints the peak of memory, of a training pass of B4 that is to `keep` or `recompute` activations."""

import sys

import paddle
from paddle.base import core

import ppcls_mixformer

model = ppcls_mixformer.MixFormer_B4(recompute=sys.argv[1] == "recompute")
model.train()
model(paddle.randn([4, 3, 224, 224])).mean().backward()
print("peak", core.host_memory_stat_peak_value("Allocated", 0))
