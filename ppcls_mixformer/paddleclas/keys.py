"""Keys of a config that PaddleClas reads by name, with the release that each came with.

Arguments of classes (`Arch`, losses, transforms, …) are not among them: those are in the signatures. A test
compares these tables with PaddleClas's code.
"""

from pathlib import Path

import ppcls

from ppcls_mixformer.paddleclas import HOST

OLDEST = "2.3"
CUTOFF = 0.8  # of likeness, from which on an unknown key is taken for a misspelt one
SECTIONS = {
    "": {
        "2.3": ("Global", "Arch", "Loss", "Optimizer", "DataLoader", "Infer", "Metric", "AMP", "Slim"),
        "2.5": ("EMA",),
        "2.6": ("MLDecoder", "SSL", "UnLabelLoss"),
    },
    "Global": {
        "2.3": (
            *("checkpoints", "pretrained_model", "output_dir", "device", "seed", "epochs", "save_interval"),
            *("eval_during_train", "eval_interval", "eval_mode", "print_batch_step", "use_visualdl"),
            *("image_shape", "save_inference_dir", "to_static", "use_dali", "use_multilabel"),
            *("feature_binarize", "feature_normalize", "sim_block_size", "use_distillation"),
        ),
        "2.5": ("class_num", "re_ranking", "retrieval_feature_from", "start_eval_epoch", "update_freq"),
        "2.6": (
            *("export_for_fd", "hpi_config_path", "iter_per_epoch", "log_ranks", "pdx_model_name"),
            *("print_mem_info", "train_mode", "uniform_output_enabled", "warmup_iter"),
        ),
    },
    "AMP": {
        "2.3": ("scale_loss", "use_dynamic_loss_scaling"),
        "2.5": ("level", "use_fp16_test"),
        "2.6": ("use_amp", "use_promote"),
    },
    "EMA": {"2.5": ("decay",)},
    "Infer": {
        "2.3": ("infer_imgs", "batch_size", "transforms", "PostProcess"),
        "2.6": ("infer_list", "save_dir"),
    },
    "Slim": {"2.3": ("prune", "quant")},
}
# What this package reads beside PaddleClas, in every release.
OWN = {
    "AMP": ("use_amp", "custom_white_list"),
    "Global": ("keep_checkpoints", "early_stopping", "unreadable_share", "fuse_gemm_epilogue", "update_freq"),
}
# What decides on what is learned, so that no training goes on without it.
DECISIVE = {"": ("EMA", "SSL", "UnLabelLoss"), "Global": ("iter_per_epoch", "train_mode")}


def release():
    """The release of the PaddleClas in use: 2.3, 2.4, 2.5 or 2.6, the last being develop, too."""
    root = Path(ppcls.__file__).parents[1]
    found = next((name for name, mark in HOST.marks.items() if (root / mark).is_file()), OLDEST)
    return found.split()[0]


def since(section):
    """`{key: release}` of every key of `section` in any release, "" for that of the sections themselves."""
    own = dict.fromkeys(OWN.get(section, ()), OLDEST)
    return {**{key: name for name, keys in SECTIONS[section].items() for key in keys}, **own}


def known(section):
    """The keys of `section` that the PaddleClas in use reads."""
    newest = max(release(), "2.5") if release() != OLDEST else OLDEST  # 2.4 was not looked at
    return [key for key, name in since(section).items() if name <= newest]
