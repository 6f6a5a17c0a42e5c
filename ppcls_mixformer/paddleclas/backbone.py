"""MixFormer as a PaddleClas backbone: the network as a `TheseusLayer`, and `Arch.name` builders."""

from functools import partial

import ppcls.arch
from paddle import nn
from ppcls.arch.backbone.base.theseus_layer import TheseusLayer

from ppcls_mixformer import zoo
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.network import mixformer
from ppcls_mixformer.weights.checkpoint import ClassifierFit

# Keys under `Arch` that PaddleClas reads elsewhere and nevertheless hands to the backbone.
HOST_KEYS = ("infer_output_key", "infer_add_softmax", "infer_model_name", "is_rec")
# All keys of the section that are no arguments of the network.
ARCH_KEYS = ("name", "pretrained", "use_sync_bn", *HOST_KEYS)


class MixFormer(mixformer.MixFormer, TheseusLayer):
    """MixFormer with PaddleClas's layer surgery, and strict about what it loads."""

    def set_state_dict(self, state_dict, *args, **kwargs):
        """Loads `state_dict`; PaddleClas's own way skips what does not fit in silence.

        Raises:
            ppcls_mixformer.WeightsError: names or shapes differ elsewhere than in the head.
        """
        ClassifierFit().load(self, self.entries_in(state_dict), "the checkpoint")

    set_dict = set_state_dict

    def entries_in(self, state_dict):
        """`state_dict` without the entries of the loss, which PaddleClas 2.6 keeps in the same file."""
        own = {k: v for k, v in state_dict.items() if k.split(".")[0] in self._sub_layers}
        return own or state_dict

    def stop_after(self, stop_layer_name):
        """RecModel's BackboneStopLayer: `last_proj`, behind which are the pooled features `[N, 1280]`.

        Raises:
            UserError: any other layer; GELU and pooling are no layers that could be left out.
        """
        if stop_layer_name != "last_proj":
            raise UserError(
                f"BackboneStopLayer {stop_layer_name}: MixFormer can only stop after last_proj, "
                "which gives the pooled features [N, 1280] for Neck or Head"
            )
        self.head = nn.Identity()
        return True


def backbone_section(arch):
    """Where the section `Arch` has the backbone: the dotted key, and what is under it."""
    if arch.get("name") == "RecModel":
        return "Arch.Backbone", arch.get("Backbone") or {}
    return "Arch", arch


def networks(arch):
    """`(key, section)` of each network in the section `Arch`, which may be several (DistillationModel)."""
    models = arch.get("models")
    if not isinstance(models, list):
        return [backbone_section(arch)]
    return [
        (f"Arch.models.{index}.{name}", section)
        for index, entry in enumerate(models)
        for name, section in (entry.items() if isinstance(entry, dict) else ())
        if isinstance(section, dict)
    ]


def build_backbone(name, use_sync_bn=False, **arch):
    """Builds variant `name` from the rest of the `Arch` section.

    `use_sync_bn` arrives here only from PaddleClas 2.3, which does not know it.
    """
    arguments = {key: value for key, value in arch.items() if key not in HOST_KEYS}
    model = zoo.build(name, model_class=MixFormer, **arguments)
    return nn.SyncBatchNorm.convert_sync_batchnorm(model) if use_sync_bn else model


def register():
    """Makes `Arch.name: MixFormer_B0` … `MixFormer_B6` known to PaddleClas."""
    for name in zoo.VARIANTS:
        setattr(ppcls.arch, name, partial(build_backbone, name))
