"""Parts of a backbone that do not learn, and statistics that stay."""

import pytest
from dense_networks import dense, moved, values
from golden import images
from paddle import nn

STATISTICS = ("._mean", "._variance")


@pytest.mark.parametrize(
    "frozen, prefixes",
    [
        (-1, ()),
        (0, ("patch_embed",)),
        (2, ("patch_embed", "layers.0", "layers.1")),
    ],
)
def test_frozen_stages_keep_parameters_and_statistics(frozen, prefixes):
    backbone = dense(frozen_stages=frozen)
    model = nn.Sequential(backbone)
    model.train()
    before = values(backbone, STATISTICS)
    sum(out.square().mean() for out in model(images(0, 2, 3, 64, 64))).backward()
    held = {name for name in before if prefixes and name.startswith(prefixes)}
    assert moved(backbone, before) == set(before) - held and bool(held) == (frozen >= 0)
    tables = "relative_position_index"
    for name, parameter in backbone.named_parameters():
        learns = not (prefixes and name.startswith(prefixes)) and not name.endswith((*STATISTICS, tables))
        assert (parameter.grad is not None) == learns, name


def test_norm_eval_keeps_the_statistics_and_learns():
    backbone = dense(norm_eval=True)
    model = nn.Sequential(backbone)
    model.train()
    before = values(backbone, STATISTICS)
    sum(out.square().mean() for out in model(images(0, 2, 3, 64, 64))).backward()
    assert not moved(backbone, before)
    assert backbone.patch_embed.stem[1].weight.grad is not None
