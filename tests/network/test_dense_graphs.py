"""One exported graph of a backbone for pictures of every size."""

import numpy as np
import paddle
import paddle.inference as inference
import pytest
from dense_networks import SHALLOW, dense
from golden import images

from ppcls_mixformer.network.fuse import fuse_for_inference

SIZES = [(1, 64, 64), (2, 33, 47), (1, 97, 130), (3, 40, 71)]
PADDLE_3 = not paddle.__version__.startswith("2.")
TOLERANCE = 1e-5 if PADDLE_3 else 1e-4  # as in test_export


@pytest.fixture(scope="module", params=["as trained", "fused"])
def graph(request, tmp_path_factory):
    """Path of a saved graph of any batch, height and width, and the maps of every size by the network."""
    model = dense(depths=SHALLOW)
    model.eval()
    spec = paddle.static.InputSpec([None, 3, None, None], name="image")
    path = str(tmp_path_factory.mktemp("graph") / "model")
    with paddle.no_grad():
        maps = [[out.numpy() for out in model(images(0, n, 3, h, w))] for n, h, w in SIZES]
    model = fuse_for_inference(model) if request.param == "fused" else model
    paddle.jit.save(paddle.jit.to_static(model, input_spec=[spec], full_graph=True), path)
    return path, maps


def compare(predict, maps):
    for (batch, height, width), expected in zip(SIZES, maps):
        found = predict(images(0, batch, 3, height, width).numpy())
        for out, reference in zip(found, expected):
            np.testing.assert_allclose(out, reference, rtol=0, atol=TOLERANCE)


def test_one_graph_takes_every_size(graph):
    path, maps = graph
    model = paddle.jit.load(path)
    compare(lambda x: [out.numpy() for out in model(paddle.to_tensor(x))], maps)


@pytest.mark.parametrize("onednn", [True, False], ids=["oneDNN", "plain"])
def test_one_graph_takes_every_size_in_paddle_inference(graph, onednn):
    path, maps = graph
    config = inference.Config(f"{path}.{'json' if PADDLE_3 else 'pdmodel'}", f"{path}.pdiparams")
    config.disable_gpu()
    config.disable_glog_info()
    if onednn:
        config.enable_mkldnn()
    elif hasattr(config, "disable_mkldnn"):
        config.disable_mkldnn()
    predictor = inference.create_predictor(config)

    def predict(x):
        predictor.get_input_handle("image").copy_from_cpu(x)
        predictor.run()
        return [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]

    compare(predict, maps)
