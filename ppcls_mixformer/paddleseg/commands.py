"""The bodies of the commands train, eval, predict and export, which take PaddleSeg's flags."""

from pathlib import Path

from ppcls_mixformer.hosting.errors import failing_in
from ppcls_mixformer.paddleseg import register
from ppcls_mixformer.paddleseg.flags import parser

ROOMS = ("paddleseg.models", "paddle.nn.layer")  # of the classes that networks are made of


def prepare(argv, mode):
    """PaddleSeg's builder for `mode` (train, eval, infer, export), and the flags.

    Args:
        argv: flags, `--config CONFIG --opts key=value …`.

    Raises:
        UserError: something about the set-up, the config or a file that a user can fix.
    """
    parser(mode).parse_args(argv)  # mistakes in the flags, and --help, need no PaddleSeg
    register()
    from paddleseg.utils import utils

    from ppcls_mixformer.paddleseg.builder import Builder
    from ppcls_mixformer.paddleseg.config import settings

    flags, config = settings(argv, mode)
    utils.show_env_info()
    utils.show_cfg_info(config)
    return Builder(config), flags


@failing_in(ROOMS)
def train(argv):
    """Trains as the config says."""
    builder, flags = prepare(argv, "train")
    from paddleseg.core import train
    from paddleseg.utils import utils

    from ppcls_mixformer.paddleseg import bridges, checkpoints

    config = builder.config
    utils.set_seed(flags.seed)
    utils.set_cv2_num_threads(flags.num_workers)
    model = utils.convert_sync_batchnorm(builder.model, flags.device)
    if flags.resume_model:
        checkpoints.load_whole(model, Path(flags.resume_model) / "model.pdparams")
    bridges.saver.network, bridges.saver.folder = model, flags.save_dir
    train(
        model,
        builder.train_dataset,
        val_dataset=builder.val_dataset if flags.do_eval else None,
        optimizer=builder.optimizer,
        save_dir=flags.save_dir,
        iters=config.iters,
        batch_size=config.batch_size,
        resume_model=flags.resume_model,
        save_interval=flags.save_interval,
        log_iters=flags.log_iters,
        num_workers=flags.num_workers,
        use_vdl=flags.use_vdl,
        use_ema=flags.use_ema,
        losses=builder.loss,
        keep_checkpoint_max=flags.keep_checkpoint_max,
        test_config=config.test_config,
        precision=flags.precision,
        amp_level=flags.amp_level,
        to_static_training=flags.to_static_training or config.to_static_training,
    )


@failing_in(ROOMS)
def evaluate(argv):
    """Evaluates on the config's val_dataset."""
    builder, flags = prepare(argv, "eval")
    from paddleseg.core import evaluate

    from ppcls_mixformer.paddleseg import checkpoints

    checkpoints.load_whole(builder.model, flags.model_path)
    options = inference_options(builder.config, flags, "aug_eval")
    evaluate(builder.model, builder.val_dataset, num_workers=flags.num_workers, **options)


@failing_in(ROOMS)
def predict(argv):
    """Segments pictures and writes maps of their classes, these over the pictures, and a legend."""
    builder, flags = prepare(argv, "infer")
    from ppcls_mixformer.paddleseg import checkpoints, predict

    checkpoints.load_whole(builder.model, flags.model_path)
    predict.run(builder, flags, inference_options(builder.config, flags, "aug_pred"))


def inference_options(config, flags, augmented):
    """The config's `test_config`, with scales, flips and sliding windows as the flags say.

    Args:
        augmented: the flag that asks for scales and flips, `aug_eval` or `aug_pred`.
    """
    options = with_windows(config, flags)
    if getattr(flags, augmented):
        options.update(
            {augmented: True},
            scales=flags.scales,
            flip_horizontal=flags.flip_horizontal,
            flip_vertical=flags.flip_vertical,
        )
    return options


def with_windows(config, flags):
    """The config's `test_config`, with sliding windows as the flags say."""
    options = config.test_config
    if flags.is_slide:
        options.update(is_slide=True, crop_size=flags.crop_size, stride=flags.stride)
    return options


@failing_in(ROOMS)
def export(argv):
    """Exports a trained network for Paddle inference."""
    from ppcls_mixformer.paddleseg.export import write_export

    write_export(argv)
