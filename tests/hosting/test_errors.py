"""What a part of a network raises is one line with its class; what others raise stays what it is."""

import paddle
import pytest

from ppcls_mixformer.hosting.errors import UserError, failing_in


class Network(paddle.nn.Layer):
    """A layer that is given too few channels."""

    def __init__(self):
        super().__init__()
        self.proj = paddle.nn.Linear(4, 4)

    def forward(self, x):
        return self.proj(x)


def test_the_innermost_part_is_named():
    with pytest.raises(UserError, match=r"^Linear fails: ValueError: \(InvalidArgument\)"):
        with failing_in(("paddle.nn.layer", __name__)):
            Network()(paddle.ones([2, 3]))
    with pytest.raises(UserError, match="^Network fails: "), failing_in((__name__,)):
        Network()(paddle.ones([2, 3]))


def test_others_pass():
    for error in (KeyError("x"), OSError("disk"), UserError("known"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised, failing_in(("paddle.nn.layer",)):
            raise error
        assert raised.value is error


def test_it_can_be_a_command():
    @failing_in((__name__,))
    def command(argv):
        """What it does."""
        return Network()(argv)

    for _ in range(2):
        assert command(paddle.ones([2, 4])).shape == [2, 4]
        with pytest.raises(UserError, match="^Network fails: "):
            command(paddle.ones([2, 3]))
    assert command.__doc__ == "What it does."
