"""Arguments of a network that cannot be built, reported before anything is built."""

from numbers import Integral, Real


def check_classifier(class_num, frozen_stages, layer_decay, **trunk):
    """Raises a ValueError that names the first argument of `MixFormer` that cannot be built."""
    check_positive(class_num=class_num)
    check_arguments(**trunk)
    check_fine_tuning(frozen_stages, layer_decay, len(trunk["depths"]))


def check_dense(out_indices, frozen_stages, norm_eval, **trunk):
    """Raises a ValueError that names the first argument of `DenseMixFormer` that cannot be built."""
    check_arguments(**trunk)
    check_stages(out_indices, frozen_stages, len(trunk["depths"]))
    check_switch(norm_eval=norm_eval)


def check_arguments(
    in_chans, embed_dim, depths, num_heads, window_size, mlp_ratio, drop_path_rate, recompute
):
    """Raises a ValueError that names the first argument of `MixFormerTrunk` that cannot be built."""
    check_positive(in_chans=in_chans, window_size=window_size)
    check_stage_counts("depths", depths)
    check_stage_counts("num_heads", num_heads)
    if len(depths) != len(num_heads):
        raise ValueError(
            f"depths and num_heads must name the same stages, got {len(depths)} and {len(num_heads)}"
        )
    if not isinstance(embed_dim, int) or embed_dim < 16 or embed_dim % 2:
        raise ValueError(
            "embed_dim must be an even integer of at least 16, since the branches work on 1/2 "
            f"and 1/16 of it, got {embed_dim!r}"
        )
    for stage, heads in enumerate(num_heads):
        half = embed_dim * 2**stage // 2
        if half % heads:
            raise ValueError(
                f"num_heads[{stage}]={heads} does not divide {half}, the attention width of "
                f"stage {stage} (half of its {2 * half} channels)"
            )
    if not isinstance(mlp_ratio, Real) or not mlp_ratio * embed_dim >= 1:
        raise ValueError(f"mlp_ratio must give at least one hidden channel, got {mlp_ratio!r}")
    if not isinstance(drop_path_rate, Real) or not 0.0 <= drop_path_rate < 1.0:
        raise ValueError(f"drop_path_rate must be in [0, 1), got {drop_path_rate!r}")
    check_switch(recompute=recompute)


def check_positive(**values):
    """Raises a ValueError that names the first value that is not a positive integer."""
    for name, value in values.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}")


def check_switch(**values):
    """Raises a ValueError that names the first value that is neither True nor False."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be True or False, got {value!r}")


def check_stage_counts(name, values):
    """Raises a ValueError unless `values` holds a positive integer for each of one or more stages."""
    if not isinstance(values, (list, tuple)) or not values:
        raise ValueError(f"{name} must list a positive integer for each stage, got {values!r}")
    check_positive(**{f"{name}[{stage}]": value for stage, value in enumerate(values)})


def check_stages(out_indices, frozen_stages, count):
    """Raises a ValueError unless a `DenseMixFormer` of `count` stages has the stages asked for."""
    stages = list(out_indices) if isinstance(out_indices, (list, tuple)) else []
    if not stages or stages != sorted(set(stages) & set(range(count))):
        raise ValueError(f"out_indices must be rising stages of 0 to {count - 1}, got {out_indices!r}")
    check_frozen(frozen_stages, count)


def check_fine_tuning(frozen_stages, layer_decay, count):
    """Raises a ValueError unless a `MixFormer` of `count` stages can learn so."""
    check_frozen(frozen_stages, count)
    if not isinstance(layer_decay, Real) or isinstance(layer_decay, bool) or not 0.0 < layer_decay <= 1.0:
        raise ValueError(f"layer_decay must be above 0 and at most 1, got {layer_decay!r}")


def check_frozen(frozen_stages, count):
    """Raises a ValueError unless `frozen_stages` is one of a network of `count` stages."""
    if isinstance(frozen_stages, bool) or frozen_stages not in range(-1, count + 1):
        raise ValueError(f"frozen_stages must be -1 to {count}, got {frozen_stages!r}")
