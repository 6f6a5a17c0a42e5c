"""Paddle's loader ends at once with the first cause, whatever of it fails, and leaves no process behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from commands import ROOT
from PIL import Image

from ppcls_mixformer.hosting import loading, paddle_bridges, reading
from ppcls_mixformer.hosting.errors import UserError

LENGTH = 8


@pytest.fixture(autouse=True)
def bridged():
    paddle_bridges.apply()
    yield
    loading.dead_workers.clear()


class Squares(paddle.io.Dataset):
    """Numbers and their squares; those in `bad` raise the exception `error`."""

    def __init__(self, bad=(), error=None):
        self.bad, self.error = bad, error
        self.images = [f"{number}.jpg" for number in range(LENGTH)]

    def __len__(self):
        return LENGTH

    def __getitem__(self, index):
        if index in self.bad:
            raise self.error
        return np.float32([index]), np.float32([index**2])


def describe(dataset, index, error):
    return reading.Failure.of(error, "" if index is None else dataset.images[index], ("no.room",))


def loaded(dataset, workers, watcher=None, **options):
    """The numbers that a loader of `dataset` gives, batch by batch."""
    loader = paddle.io.DataLoader(
        dataset, batch_size=2, num_workers=workers, return_list=True, use_shared_memory=False, **options
    )
    if watcher:
        loading.watch(loader, watcher)
    return [batch[0].reshape([-1]).tolist() for batch in loader]


def evaluation(skips=False, processes=1):
    return reading.EvaluationWatch("Eval", LENGTH, describe, skips, processes)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "error",
    [KeyError("a"), RecursionError("too deep"), ValueError("one\ntwo"), SystemExit(3), GeneratorExit()],
)
def test_an_error_of_a_dataset_ends_the_loader(workers, error):
    with pytest.raises(UserError, match="data loader failed") as refusal:
        loaded(Squares([3], error), workers)
    assert type(error).__name__ in str(refusal.value) and "\n" not in refusal.value.args[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_that_cannot_be_joined_ends_the_loader(workers):
    def refuse(samples):
        raise RuntimeError("no batch")

    with pytest.raises(UserError, match="no batch"):
        loaded(Squares(), workers, collate_fn=refuse)
    with pytest.raises(
        UserError, match="Eval: joining a batch fails on 0.jpg, 1.jpg: RuntimeError: no batch"
    ):
        loaded(Squares(), workers, evaluation(), collate_fn=refuse)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_joining_a_batch_lacks_is_no_picture_to_leave_out(workers):
    def refuse(samples):
        raise OSError("disk full")

    watcher = reading.TrainingWatch("Train", LENGTH, describe, 1, "share")
    with pytest.raises(UserError, match="Train: joining a batch fails on 0.jpg, 1.jpg: disk full"):
        loaded(Squares(), workers, watcher, collate_fn=refuse)


def test_an_interruption_in_a_dataset_ends_the_loader():
    with pytest.raises(UserError, match="data loader failed: KeyboardInterrupt: x"):
        loaded(Squares([3], KeyboardInterrupt("x")), 0)
    with pytest.raises(UserError, match=r"data loader failed: worker \d+ ended before its work was done"):
        loaded(Squares([3], KeyboardInterrupt("x")), 2)


@pytest.mark.parametrize(
    "value, cause",
    [
        (lambda: 1, r"\w+Error: .*pickle"),
        (np.array([{}], dtype=object), "ValueError: .*array data type"),
    ],
    ids=["function", "array of objects"],
)
@pytest.mark.parametrize("shared", [False, True], ids=["queue", "shared memory"])
def test_a_batch_that_cannot_be_sent_ends_the_loader(value, cause, shared):
    def collate(samples):
        return [np.zeros(1), value]

    loader = paddle.io.DataLoader(
        Squares(), batch_size=2, num_workers=2, collate_fn=collate, use_shared_memory=shared
    )
    with pytest.raises(UserError, match=f"the data loader failed: {cause}"):
        list(loader)


def test_an_exception_that_cannot_be_sent_ends_the_loader():
    class Unknown(Exception):
        """A class that no other process can find."""

    with pytest.raises(UserError, match="pickle|local object"):  # the latter since Python 3.12
        loaded(Squares([3], Unknown("x")), 2)


def test_an_error_of_the_sampler_ends_the_loader():
    class Broken(paddle.io.BatchSampler):
        def __iter__(self):
            yield [0, 1]
            raise RuntimeError("no more")

    loader = paddle.io.DataLoader(Squares(), batch_sampler=Broken(Squares(), batch_size=2), num_workers=0)
    with pytest.raises(UserError, match="RuntimeError: no more"):
        list(loader)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_watched_loader_that_nothing_fails_in_is_as_ever(workers):
    assert loaded(Squares(), workers, evaluation()) == [[0, 1], [2, 3], [4, 5], [6, 7]]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_evaluation_names_all_that_cannot_be_read(workers):
    missing = FileNotFoundError(2, "No such file or directory")
    text = r"Eval: 3 of 8 pictures cannot be read: 0.jpg \(No such file or directory\), 2.jpg .*, 3.jpg"
    with pytest.raises(UserError, match=text):
        loaded(Squares([0, 2, 3], missing), workers, evaluation())
    with pytest.raises(UserError, match="5.jpg .* and 2 more"):
        loaded(Squares([2, 3, 5, 6, 7], missing), workers, evaluation())


@pytest.mark.parametrize("workers", [0, 2])
def test_an_evaluation_may_leave_them_out_and_says_of_how_many_it_is(workers, caplog):
    missing = FileNotFoundError(2, "No such file or directory")
    batches = loaded(Squares([0, 2, 3], missing), workers, evaluation(skips=True))
    assert batches == [[1], [4, 5], [6, 7]]
    assert "3 of 8 pictures cannot be read" in caplog.text and "of the other 5" in caplog.text


def test_an_evaluation_of_nothing_is_refused_all_the_same():
    with pytest.raises(UserError, match="8 of 8"):
        loaded(Squares(range(LENGTH), OSError("x")), 0, evaluation(skips=True))


def test_several_processes_stop_at_the_first_one():
    with pytest.raises(UserError, match="3.jpg cannot be read: x; mend the file, or evaluate in one process"):
        loaded(Squares([3, 4], OSError("x")), 0, evaluation(skips=True, processes=2))


@pytest.mark.parametrize("workers", [0, 2])
def test_training_names_each_file_once_and_takes_others(workers, caplog):
    watcher = reading.TrainingWatch("Train", LENGTH, describe, 0.25, "share")
    for _ in range(2):
        batches = loaded(Squares([0, 3], OSError("x")), workers, watcher)
        numbers = sum(batches, [])
        assert len(numbers) == LENGTH and not {0, 3} & set(numbers)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "Train: 0.jpg cannot be read: x; training goes on without it (1 of 8)",
        "Train: 3.jpg cannot be read: x; training goes on without it (2 of 8)",
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_training_stops_above_a_share(workers):
    for bad in ([0, 3, 6], range(LENGTH)):
        watcher = reading.TrainingWatch("Train", LENGTH, describe, 0.25, "share")
        with pytest.raises(UserError, match="Train: 3 of 8 .* more than share = 0.25"):
            loaded(Squares(bad, OSError("x")), workers, watcher)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("watcher", [evaluation, lambda: reading.TrainingWatch("T", 8, describe, 1, "s")])
def test_an_error_that_is_not_the_files_stops_at_once(workers, watcher):
    with pytest.raises(UserError, match="reading fails on 3.jpg: KeyError: 'a'"):
        loaded(Squares([3], KeyError("a")), workers, watcher())


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("error", [SystemExit(3), StopIteration("a")])
def test_no_exception_of_a_watched_dataset_goes_unsaid(workers, error):
    with pytest.raises(UserError, match=f"reading fails on 3.jpg: {type(error).__name__}"):
        loaded(Squares([3], error), workers, evaluation())


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("error", [KeyError("a"), OSError("x")])
def test_inference_leaves_out_whatever_fails_and_names_it(workers, error, caplog):
    failures = {}
    watcher = reading.InferenceWatch("Test", LENGTH, describe, failures)
    batches = loaded(Squares([0, 2, 3], error), workers, watcher)
    assert batches == [[1], [4, 5], [6, 7]] and list(failures) == ["0.jpg", "2.jpg", "3.jpg"]
    assert "3.jpg" in caplog.records[2].getMessage()


def test_of_several_files_of_a_sample_the_unreadable_one_is_to_blame(tmp_path):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.new("RGB", (2, 2)).save(good)
    with pytest.raises(AttributeError) as raised:
        None.shape  # noqa: B018
    error = raised.value
    said = [
        str(reading.Failure.of_sample(7, files, error, ("no.room",))) for files in ([good, bad], [good], [])
    ]
    assert said[0] == f"{bad} cannot be read: No such file or directory"
    assert said[1] == f"reading fails on {good}: AttributeError: {error}" and "fails on sample 7" in said[2]


@pytest.mark.parametrize("size, shared", [(2**26, False), (2**31, True)])
def test_little_shared_memory_is_not_used(monkeypatch, caplog, size, shared):
    monkeypatch.setattr(loading.shutil, "disk_usage", lambda path: SimpleNamespace(total=size))
    loading._shared_memory_is_little.cache_clear()
    loaders = [paddle.io.DataLoader(Squares(), num_workers=2) for _ in range(2)]
    assert [loader.use_shared_memory for loader in loaders] == [shared, shared]
    assert [record.getMessage()[:17] for record in caplog.records] == ["/dev/shm has 64 M"] * (not shared)
    loading._shared_memory_is_little.cache_clear()


@pytest.mark.parametrize(
    "text, said",
    [
        (
            "(Fatal) DataLoader process (pid   1. If run, queue capacity is set",
            "of the loader .* Bus error; .*shm",
        ),
        (
            "DataLoader process (pid 12) exited is killed by signal: Killed.\n  It",
            "12 .*: Killed; where memory",
        ),
    ],
)
def test_what_paddle_says_of_a_dead_worker_is_one_line(monkeypatch, text, said):
    def throw():
        raise SystemError(text)

    monkeypatch.setattr(paddle.base.core, "_throw_error_if_process_failed", throw)
    loading._keep_dead_workers()
    with pytest.raises(UserError, match=f"^the data loader failed: worker {said}"):
        loaded(Squares(), 0)


def test_a_loader_that_is_started_again_says_the_same_again():
    watcher = reading.TrainingWatch("Train", LENGTH, describe, 0, "share")
    for _ in range(2):  # as PaddleClas 2.6 does after any error
        with pytest.raises(UserError, match="Train: 1 of 8 .* more than share = 0"):
            loaded(Squares([3], OSError("x")), 0, watcher)


TRAINER = """
import sys, time, numpy as np, paddle
from ppcls_mixformer.hosting import cli, loading
loading.apply()
class Dataset(paddle.io.Dataset):
    def __len__(self):
        return 10**6
    def __getitem__(self, index):
        return np.float32([index])
def main(argv):
    iterator = iter(paddle.io.DataLoader(
        Dataset(), batch_size=2, num_workers=2, use_shared_memory=bool(int(argv[0]))
    ))
    print(*[worker.pid for worker in iterator._workers], flush=True)
    while True:
        next(iterator)
        time.sleep(0.01)
cli.run(main)
"""


@pytest.fixture(params=["0", "1"], ids=["queue", "shared memory"])
def trainer(request):
    """A process that loads data for ever, and the ids of its workers."""
    running = subprocess.Popen(
        [sys.executable, "-c", TRAINER, request.param],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    workers = [int(pid) for pid in running.stdout.readline().split()]
    assert len(workers) == 2
    yield running, workers
    for pid in filter(is_alive, (running.pid, *workers)):
        os.kill(pid, signal.SIGKILL)


def is_alive(pid):
    """Whether a process runs; one that has ended may wait for its parent to look."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ended(pids, seconds=10):
    """Whether all of the processes end in time."""
    start = time.time()
    while any(map(is_alive, pids)) and time.time() - start < seconds:
        time.sleep(0.1)
    return not any(map(is_alive, pids))


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")


@needs_proc
def test_no_worker_is_forked_while_the_thread_of_another_loader_ends():
    """Paddle leaves that thread for up to five seconds, and its last instructions are under a lock."""
    iterator = iter(paddle.io.DataLoader(Squares(), batch_size=2, num_workers=2, use_shared_memory=False))
    assert len(list(iterator)) == LENGTH / 2
    start = time.monotonic()
    process = multiprocessing.Process(target=int)
    process.start()
    assert iterator._thread.native_id not in loading.reading_threads
    assert not os.path.exists(f"{loading.TASKS}/{iterator._thread.native_id}")
    assert time.monotonic() - start < 2
    process.join()


@needs_proc
def test_a_fork_does_not_wait_for_a_loader_that_is_read(monkeypatch):
    monkeypatch.setattr(loading, "PATIENCE", 60)
    iterator = iter(paddle.io.DataLoader(Squares(), batch_size=1, num_workers=2, use_shared_memory=False))
    next(iterator)
    start = time.monotonic()
    assert loaded(Squares(), 2) == [[0, 1], [2, 3], [4, 5], [6, 7]]  # as an evaluation in between
    assert time.monotonic() - start < 30 and iterator._thread.native_id in loading.reading_threads
    assert len(list(iterator)) == LENGTH - 1


@pytest.mark.slow
@needs_proc
def test_workers_end_with_their_trainer(trainer):
    running, workers = trainer
    running.kill()
    assert ended(workers)


@pytest.mark.slow
@needs_proc
def test_a_killed_worker_is_one_line(trainer):
    running, workers = trainer
    os.kill(workers[0], signal.SIGKILL)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == 1 and "Traceback" not in errors and "WARNING" not in errors
    assert f"error: the data loader failed: worker {workers[0]} was killed by signal: Killed" in errors
    assert ended(workers)


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize(
    "number, to_all, status, line",
    [
        (signal.SIGINT, True, 130, "error: interrupted"),
        (signal.SIGTERM, False, 143, "error: terminated by SIGTERM"),
        (signal.SIGTERM, True, 143, "error: terminated by SIGTERM"),
    ],
)
def test_a_signal_is_one_line(trainer, number, to_all, status, line):
    running, workers = trainer
    time.sleep(1)
    (os.killpg if to_all else os.kill)(running.pid, number)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == status and "Traceback" not in errors and errors.splitlines()[-1] == line
    assert ended(workers)
