"""Builds a network with paddle.hub, far from the checkout; prints what it lists and the output's shape."""

import sys
import zlib  # noqa: F401  before paddle 2.6, which exports its own

import paddle

checkout = sys.argv[1]
print(paddle.hub.list(checkout, source="local"))
print(paddle.hub.help(checkout, "MixFormer_B2", source="local"))
model = paddle.hub.load(checkout, "MixFormer_B2", source="local", class_num=7)
print("scores", model(paddle.zeros([1, 3, 64, 64])).shape)
