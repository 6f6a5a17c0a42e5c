"""Networks in the place of the one that PaddleClas evaluates: averaged over views, or an exported file.

PaddleClas's losses, metrics and postprocessing take logits, so these give logits whose softmax, or for
independent labels sigmoid, are the scores that are meant.
"""

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.predict import views

TINY = 1e-30  # least score; a logarithm of 0 is no number


def to_logits(scores, independent):
    """Logits whose softmax, or sigmoid if the labels are `independent`, are `scores` `[N, classes]`."""
    scores = scores.clip(TINY, 1 - 1e-7 if independent else 1)
    return paddle.log(scores) - paddle.log1p(-scores) if independent else paddle.log(scores)


class Averaged(nn.Layer):
    """A network's scores averaged over views of each picture."""

    def __init__(self, network, asked, independent):
        """Averages over the views `asked`, see `predict.views`."""
        super().__init__()
        self.network, self.views, self.independent = network, asked, independent

    def forward(self, x, *labels):
        """Logits `[N, classes]` of images `[N, 3, H, W]`."""
        activation = F.sigmoid if self.independent else F.softmax
        scores = [activation(self._logits(self._seen(x, view))) for view in self.views]
        return to_logits(sum(scores) / len(scores), self.independent)

    def _seen(self, x, view):
        rows, columns = (paddle.to_tensor(m) for m in views.matrices(view, *x.shape[2:]))
        return paddle.matmul(paddle.matmul(rows, x), columns, transpose_y=True)

    def _logits(self, x):
        output = self.network(x)
        output = output.get("logits") if isinstance(output, dict) else output
        if not isinstance(output, paddle.Tensor):
            raise UserError(f"--tta: {type(self.network).__name__} gives no logits that could be averaged")
        return output


class Exported(nn.Layer):
    """An exported program, whose scores become logits."""

    def __init__(self, program, independent, classes, image_shape):
        """Runs `program`, a `predict.programs.Program`, which must fit the config.

        Args:
            classes: that the config has; None where it does not say.
            image_shape: that the program takes; None where nobody knows.
        """
        super().__init__()
        self.program, self.independent = program, independent
        self.classes, self.image_shape = classes, image_shape

    def forward(self, x, *labels):
        """Logits `[N, classes]` of images `[N, 3, H, W]`.

        Raises:
            UserError: the program is for another size or other classes than the config.
        """
        shape = list(x.shape[1:])
        if self.image_shape not in (None, shape):
            raise UserError(
                f"{self.program.path} takes pictures of {self.image_shape}, and DataLoader.Eval makes {shape}"
            )
        scores = self.program.run(x.astype("float32").numpy())[0]
        if self.classes not in (None, scores.shape[-1]):
            raise UserError(
                f"{self.program.path} has {scores.shape[-1]} classes, and the config has {self.classes}"
            )
        return to_logits(paddle.to_tensor(scores), self.independent)
