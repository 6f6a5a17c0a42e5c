"""The package as it is once installed: from a wheel, in an environment of its own, far from the checkout."""

import re
import shutil
import subprocess
import venv
import zipfile

import pytest
from commands import CONFIG, ROOT, losses, overrides

from ppcls_mixformer.hosting import configs


def files(folder, pattern):
    """Paths of the files below a folder, relative to it."""
    return {str(path.relative_to(folder)) for path in folder.rglob(pattern)}


@pytest.mark.slow
@pytest.mark.network
def test_the_wheel_holds_the_package_its_configs_its_demo_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = [name for name in names if name.endswith("/METADATA")]
        requirements = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*$", archive.read(metadata).decode(), re.M)
    modules = files(ROOT / "ppcls_mixformer", "*.py")
    settings = {f"configs/{name}" for name in files(configs.folder(), "*.y*ml")}
    golden = files(ROOT / "ppcls_mixformer", "golden/*")
    demo = {f"demo/{name}" for name in files(ROOT / "demo", "*.py")}
    page = files(ROOT / "ppcls_mixformer", "webpage/*")
    info = metadata.split("/")[0]
    assert len(page) == 4
    assert {f"ppcls_mixformer/{name}" for name in modules | settings | golden | demo | page} == {
        name for name in names if not name.startswith(info)
    }
    assert sorted(requirements) == ["numpy", "pillow", "pyyaml", "tqdm"]


@pytest.mark.slow
@pytest.mark.network
def test_an_installed_package_trains_and_runs_the_quick_start(wheel, digits, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    binaries = tmp_path / "env/bin"

    def run(*command):
        command = [str(part) for part in command]
        result = subprocess.run(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1500
        )
        assert result.returncode == 0, result.stdout[-3000:]
        return result.stdout

    run(binaries / "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", f"{wheel}[cpu,demo]")
    run(binaries / "ppcls-mixformer", "fetch")
    output, config = tmp_path / "output/digits", ROOT / CONFIG
    settings = [part for override in overrides(digits, output, epochs=1) for part in ("-o", override)]
    log = run(binaries / "python", "-m", "ppcls_mixformer", "train", "-c", config, *settings)
    assert len(losses(log)) == 2
    best = next(output.rglob("best_model.pdparams"))
    shutil.copyfile(best, output / "MixFormer_B0_digits.pdparams")  # or the quick start trains for minutes
    log = run(binaries / "ppcls-mixformer", "quickstart")
    assert "on the 360 validation pictures" in log and (output / "report/report.html").is_file()
    assert len(list((output / "explained").iterdir())) == 1
    assert str(ROOT) not in run(binaries / "python", "-c", "import ppcls_mixformer as p; print(p.__file__)")
