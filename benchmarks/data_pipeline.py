"""How fast PaddleClas's data pipeline makes batches as a config asks for them, by number of workers.

`python benchmarks/data_pipeline.py -c configs/ImageNet/MixFormer/MixFormer_B4.yaml --workers 0 1 2 4`

The pictures are scikit-learn's two sample photographs as JPEG files of the usual ImageNet size.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_images

PHOTO_SIZE = (500, 375)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-c", "--config", required=True, help="PaddleClas config")
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 1, 2, 4])
    parser.add_argument("--batch", type=int, default=32, help="images a batch")
    parser.add_argument("--batches", type=int, default=8, help="batches a round")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from ppcls_mixformer.paddleclas import register

    register()
    from ppcls.utils import logger

    from ppcls_mixformer.paddleclas import config

    logger.init_logger()
    with tempfile.TemporaryDirectory(prefix="photos-") as folder:
        write_photos(Path(folder), arguments.batch * (arguments.batches + 1))
        loaders = {
            workers: build(config.load(arguments.config, overrides(folder, arguments.batch, workers)))
            for workers in arguments.workers
        }
        rates = {workers: [] for workers in loaders}
        for _ in range(arguments.rounds):
            for workers, loader in loaders.items():
                rates[workers].append(images_per_second(loader, arguments.batch))
    print("| workers | images/s (slowest – fastest) |\n|---|---|")
    for workers, values in rates.items():
        print(f"| {workers} | {statistics.median(values):.1f} ({min(values):.1f} – {max(values):.1f}) |")


def write_photos(folder, count):
    """`count` JPEG files and their list, as ImageNetDataset reads it."""
    photos = [Image.fromarray(image).resize(PHOTO_SIZE) for image in load_sample_images().images]
    for i in range(count):
        photos[i % len(photos)].save(folder / f"{i}.jpg", quality=90)
    (folder / "list.txt").write_text("".join(f"{i}.jpg {i % 1000}\n" for i in range(count)))


def overrides(folder, batch, workers):
    """Overrides that point a config's training data to the photographs."""
    return [
        f"DataLoader.Train.dataset.image_root={folder}",
        f"DataLoader.Train.dataset.cls_label_path={folder}/list.txt",
        f"DataLoader.Train.sampler.batch_size={batch}",
        f"DataLoader.Train.loader.num_workers={workers}",
    ]


def build(settings):
    """PaddleClas's training loader."""
    from ppcls.data import build_dataloader

    # As PaddleClas's Engine hands them on.
    shared = {"class_num": settings["Arch"]["class_num"], "epochs": settings["Global"]["epochs"]}
    return build_dataloader({**settings["DataLoader"], **shared}, "Train", "cpu", False)


def images_per_second(loader, batch):
    """Rate of an epoch behind its first batch, for which the workers start."""
    batches = iter(loader)
    next(batches)
    start = time.perf_counter()
    count = sum(1 for _ in batches)
    return count * batch / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
