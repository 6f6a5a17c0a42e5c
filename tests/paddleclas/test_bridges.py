"""Each bridge between PaddleClas and today's Paddle: what it mends, and that it is broken without it.

The PaddleClas in use may need only some of them; the others are held to a stand-in of the code they mend.
"""

import subprocess
import sys

import pytest
from commands import ROOT

SET_UP = """
import inspect, logging
from ppcls_mixformer.paddleclas import register
register()
import paddle, ppcls.engine.engine
from ppcls_mixformer.paddleclas import bridges
"""


def check(script):
    """Runs `script` behind a set-up with PaddleClas registered, in a process of its own."""
    command = [sys.executable, "-c", SET_UP + script]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout.strip().endswith("done"), result.stdout + result.stderr


SCRIPTS = {
    "one_element_scalars": """
values = bridges._with_one_element_values(lambda: {"loss": paddle.to_tensor(1.5)})()
assert values["loss"].numpy()[0] == 1.5
try:
    paddle.to_tensor(1.5).numpy()[0]
    raise SystemExit("0-D scalars can be indexed: the bridge is not needed")
except IndexError:
    print("done")
""",
    "one_element_meters": """
class Meter:
    def update(self, val, n=1):
        self.avg = val
    def info(self):
        return self.avg.numpy()[0]
meter = Meter()
meter.update(paddle.to_tensor(0.5))
try:
    meter.info()
    raise SystemExit("the bridge is not needed")
except IndexError:
    pass
Meter.update = bridges._with_one_element_value(Meter.update)
meter.update(paddle.to_tensor(0.5))
assert meter.info() == 0.5
print("done")
""",
    "fluid_set_flags": """
paddle.fluid.set_flags({"FLAGS_that_no_paddle_has": 1, "FLAGS_max_inplace_grad_add": 8})
assert paddle.get_flags("FLAGS_max_inplace_grad_add")["FLAGS_max_inplace_grad_add"] == 8
try:
    paddle.set_flags({"FLAGS_that_no_paddle_has": 1})
    raise SystemExit("unknown flags are accepted: the bridge is not needed")
except ValueError:
    print("done")
""",
    "device_id_on_cpu": """
assert paddle.distributed.ParallelEnv().device_id == 0
print("done")
""",
    "ema_of_integers": """
def update(self, model, update_fn):
    for name, value in model.items():
        paddle.assign(update_fn(self[name], value), self[name])
def average(bridge):
    own = {"weight": paddle.ones([2]), "index": paddle.arange(3)}
    model = {"weight": paddle.zeros([2]), "index": paddle.arange(3)}
    bridge(update)(own, model, lambda e, m: 0.5 * e + 0.5 * m)
    assert own["weight"].tolist() == [0.5, 0.5]
    return own["index"].dtype
assert average(bridges._floats_only) == paddle.int64
try:
    assert average(lambda f: f) != paddle.int64, "integers stay integers: the bridge is not needed"
except (TypeError, ValueError, RuntimeError):
    pass
print("done")
""",
    "applied_once": """
first = ppcls.engine.engine.init_model
bridges.apply()
assert ppcls.engine.engine.init_model is first and not hasattr(first.bridged, "bridged")
print("done")
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_bridge(name):
    check(SCRIPTS[name])
