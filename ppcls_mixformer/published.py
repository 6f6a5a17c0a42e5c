"""The command `weights`: published checkpoints in the cache are listed, verified and imported."""

import argparse

from ppcls_mixformer import zoo
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.network.mixformer import MixFormer
from ppcls_mixformer.weights import checkpoint, download

NAMES = [name for name, variant in zoo.VARIANTS.items() if variant.has_weights]


def run_command(argv):
    """Lists the published checkpoints, verifies those in the cache, or imports one fetched by other means."""
    parser = argparse.ArgumentParser(description=run_command.__doc__)
    actions = parser.add_subparsers(dest="action", metavar="verify | import", help="without one: list")
    verify = actions.add_parser("verify", description="Checks SHA-256, names and shapes.")
    verify.add_argument("name", nargs="*", help=f"{', '.join(NAMES)} (the default: all in the cache)")
    take = actions.add_parser("import", description="Checks a file and puts it into the cache.")
    take.add_argument("file", help="a published checkpoint, fetched by other means")
    take.add_argument("--name", help="the variant that it is of (the default: as the file is called)")
    flags = parser.parse_args(argv)
    if flags.action == "verify":
        verify_cached(flags.name)
    elif flags.action == "import":
        import_file(flags.file, flags.name)
    else:
        show()


def show():
    """Prints of each published checkpoint where it comes from, and whether it is in the cache."""
    for name in NAMES:
        published = zoo.published_weights(name)
        state = "not downloaded"
        if published.path.exists():
            sha256 = published.expected_sha256()
            state = f"in {published.path}, SHA-256 {sha256 or 'not recorded; `weights verify` records it'}"
        print(f"{name:14} {published.url}\n{'':14} {state}")


def verify_cached(names):
    """Checks the checkpoints of `names` in the cache, of all that are there if there are none.

    A SHA-256 that was not recorded is recorded.

    Raises:
        UserError: one is not there, has another SHA-256 or does not fit; the others were checked as well.
    """
    known = {name: zoo.published_weights(find(name)) for name in names or NAMES}
    chosen = {name: item for name, item in known.items() if names or item.path.exists()}
    if not chosen:
        print(f"no published checkpoint is in {download.CACHE.expanduser()}")
    failures = []
    for name, published in chosen.items():
        try:
            print(f"{name:14} {verify(name, published)}")
        except UserError as error:
            failures.append(str(error))
    if failures:
        raise UserError("; ".join(failures))


def verify(name, published):
    """Checks one checkpoint in the cache; returns in words what it was checked against."""
    path = checkpoint.find_file(published.path)
    download.check_cached(published)
    is_known = published.expected_sha256() is not None
    check(name, path, path)
    if not is_known:
        download.record(published, path)
    sha256 = published.expected_sha256()
    return f"{path}: names and shapes fit, SHA-256 {sha256} {'as before' if is_known else 'is now recorded'}"


def import_file(file, name):
    """Puts `file`, a published checkpoint of the variant `name`, into the cache once it is checked.

    Raises:
        UserError: no such file, no such variant, or not its published checkpoint.
    """
    path = checkpoint.find_file(file)
    name = name or path.name.split("_pretrained")[0]
    published = zoo.published_weights(find(name))
    if path.resolve() == published.path.resolve():
        raise UserError(
            f"{file} is in the cache; check it with `python -m ppcls_mixformer weights verify {name}`"
        )
    download.take(published, path, fits=lambda part: check(name, part, path))
    print(f"{name}: {published.path}, SHA-256 {published.expected_sha256()}")


def find(name):
    """`name`, where weights are published for it."""
    if name not in NAMES:
        raise UserError(
            f"{name} is no variant with published weights; they are {', '.join(NAMES)}; see --name"
        )
    return name


def check(name, file, source):
    """Checks that the file holds all entries of the variant `name`, in their shapes; `source` is its name."""
    state = checkpoint.unpack(file, source)
    checkpoint.check_state_dict(state, source)
    own = checkpoint.entries_of(MixFormer(**zoo.resolve(name)))
    checkpoint.refuse(checkpoint.compare(own, state), source, name)
