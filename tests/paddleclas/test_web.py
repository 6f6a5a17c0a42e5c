"""`export --web`: a folder for a browser, whose scores, resizing and gates are those of Python."""

import json
import queue
import re
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
from browser import browse, needs_browser, visit
from commands import HAS_ONNX, ROOT, checkpoint, error_line, overrides, tool
from PIL import Image

from ppcls_mixformer import Classifier, MixFormer_B0
from ppcls_mixformer.hosting import npm
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import web
from ppcls_mixformer.paddleclas.export import asked_of
from ppcls_mixformer.paddleclas.program import outputs_of
from ppcls_mixformer.predict import description as descriptions
from ppcls_mixformer.predict import programs, transforms
from ppcls_mixformer.predict.sources import find
from ppcls_mixformer.understand import saliency

needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="there is no paddle2onnx")
LONG = "a_name_as_phones_give_it_to_pictures_20261127_061500_123456789.data"  # read by browsers alone
NORMALIZE, TO_CHW = {"NormalizeImage": {"scale": 1 / 255, "order": ""}}, {"ToCHWImage": None}
OWN = {"index.html", "page.js", "preprocess.js", "style.css", "model.json", "model.onnx"}
RUNTIME = {
    "ort.wasm.min.js",
    "ort-wasm-simd-threaded.js",
    "ort-wasm-simd-threaded.wasm",
    "LICENSE",
    "ThirdPartyNotices.txt",
}


def export(digits, trained, folder, *settings, flags=("--web",), check=True):
    weights = f"Global.pretrained_model={checkpoint(trained[0], 'latest')}"
    settings = [*overrides(digits, trained[0]), weights, f"Global.save_inference_dir={folder}", *settings]
    return tool("export_model", *settings, flags=flags, check=check)


@pytest.fixture(scope="module")
def page(digits, trained, tmp_path_factory):
    """Folder of an export with a page, and what the tool printed."""
    folder = tmp_path_factory.mktemp("page")
    return folder, export(digits, trained, folder)


@pytest.fixture(scope="module")
def pictures(digits, tmp_path_factory):
    """Folder with pictures of several kinds, and something else."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.RandomState(0)
    for number, path in enumerate(sorted((digits / "test").glob("*.png"))[:4]):
        shutil.copyfile(path, folder / f"{number}.png")
    for name, sides in (("wide.png", (61, 190)), ("tall.png", (333, 47)), ("tiny.png", (5, 9))):
        Image.fromarray(random.randint(0, 256, (*sides, 3), "uint8")).save(folder / name)
    picture = Image.fromarray(np.asarray(Image.open(folder / "0.png").convert("RGB")))
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.save(folder / "turned.jpg", quality=100, subsampling=0, exif=turned)
    (folder / "notes.txt").write_text("no picture")
    Image.new("L", (16385, 20)).save(folder / LONG, "PNG")
    return folder


class Handler(SimpleHTTPRequestHandler):
    """Files, and an address to which pages post what they have found."""

    found = queue.Queue()
    cached = {}  # by address, what a browser says of its cache

    def do_GET(self):
        self.cached[self.path] = self.headers["Cache-Control"]
        super().do_GET()

    def do_POST(self):
        self.found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def seen_by_a_browser(site, profile, plan):
    """What `web_drive.html` finds in the folder `site`, which it is copied to."""
    for name in ("web_drive.html", "web_probe.js"):
        shutil.copyfile(ROOT / "tests/scripts" / name, site / name)
    (site / "plan.json").write_text(json.dumps(plan))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with visit(f"http://127.0.0.1:{server.server_port}/web_drive.html", profile):
            found = Handler.found.get(timeout=120)
        server.shutdown()
    assert "error" not in found, found
    return found["pages"]


SIZES = [
    (40, 60),
    (20, 30),  # a half, in which OpenCV does something else
    (40, 30),
    (41, 57),
    (20, 90),
    (80, 60),
    (7, 3),
    (39, 60),
]  # to which 40x60 (width x height) is resized


def resizings():
    """Pictures with steps of resizing, and the pixels that Python makes of them."""
    pixels = np.random.RandomState(1).randint(0, 256, (60, 40, 3), "uint8")
    pixels[:20] = np.where(pixels[:20] > 127, 255, 0)  # filters of negative weights reach beyond these
    picture = {"width": 40, "height": 60, "data": pixels.ravel().tolist()}
    for backend, filters in web.FILTERS.items():
        for interpolation in filters:
            for size in SIZES:
                arguments = {"size": list(size), "interpolation": interpolation, "backend": backend}
                operators = [{"ResizeImage": arguments}, TO_CHW]
                (step,), _ = web.preparation(operators)
                expected = transforms.build(operators, "test")[0](pixels)
                yield {"picture": picture, "step": step}, expected


@needs_browser
@needs_onnx
@pytest.mark.slow
@pytest.mark.network
def test_a_browser_gives_the_scores_and_gates_of_python(digits, trained, exported, page, pictures, tmp_path):
    asked, resized = zip(*resizings())
    (tmp_path / "web").symlink_to(page[0] / "web")
    (tmp_path / "pictures").symlink_to(pictures)
    described = descriptions.read(exported[0])
    web.write(tmp_path / "half", exported[0] / programs.HALF, described, ["scores"], npm.fetch(web.RUNTIME))
    plan = {"pages": ["web", "half/web"], "pictures": sorted(path.name for path in pictures.iterdir())}
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{elsewhere.server_port}/"
        found = seen_by_a_browser(
            tmp_path, tmp_path / "profile", {**plan, "resized": asked, "elsewhere": address}
        )
        elsewhere.shutdown()
    assert [one["status"] for one in found.values()] == ["Ready."] * 2
    whole, half = (one["pictures"] for one in found.values())
    for answers in (whole, half):
        assert {answer.pop("beyond") for answer in answers.values()} == {0}
        assert answers.pop("notes.txt") == {
            "status": "notes.txt: it is no picture that this browser can read"
        }
        said = f"{LONG}: it has 16385x20 pixels, and browsers draw up to 16384 on a side"
        assert answers.pop(LONG) == {"status": said}
    assert {Handler.cached[f"/web/{name}"] for name in ("model.json", "model.onnx")} == {"max-age=0"}
    check_others(found["web"].pop("others"), plan["pictures"])
    names, paths = zip(*((source.name.rpartition("/")[2], source.name) for source in find(pictures)))
    classify = Classifier(page[0], "paddle")
    for name, result, scores in zip(names, classify(list(paths)), classify.scores(list(paths))):
        outputs = whole[name]["outputs"]
        np.testing.assert_allclose(outputs[0]["data"], scores, atol=1e-4, err_msg=name)
        np.testing.assert_allclose(half[name]["outputs"][0]["data"], scores, atol=1e-2, err_msg=name)
        assert [label for label, _ in whole[name]["classes"]] == result["label_names"], name
        shown = [float(score) for _, score in whole[name]["classes"]]
        np.testing.assert_allclose(shown, result["scores"], atol=1e-4)
        # None, and four stages; the last one has a single place, and so nothing to show.
        assert len(set(whole[name]["overlays"])) == 4 and len(half[name]["overlays"]) == 1
    assert set(whole) == set(half) == set(names)

    network = MixFormer_B0(class_num=10, pretrained=checkpoint(trained[0], "latest"))
    network.eval()
    images = np.stack([transforms.apply(classify.transforms, source.rgb()) for source in find(pictures)])
    stages = [saliency.gates(stage) for stage in saliency.trace(network, images).stages]
    for number, name in enumerate(names):
        for stage, gates in zip(stages, whole[name]["outputs"][1:]):
            mine = np.reshape(gates["data"], gates["dims"])[0]
            np.testing.assert_allclose(mine, stage[number], atol=1e-4, err_msg=name)

    for one, want, pixels in zip(asked, resized, found["web"]["resized"]):
        difference = np.abs(np.reshape(pixels, want.shape).astype(int) - want)
        assert difference.max() <= (one["step"]["backend"] == "cv2" and not is_exact()), one["step"]
    for name, result in found.items():
        asked = {re.sub(r"^http://127\.0\.0\.1:\d+/|\?.*", "", address) for address in result["addresses"]}
        runtime = {f"{name}/onnxruntime/{file}" for file in RUNTIME - {"LICENSE", "ThirdPartyNotices.txt"}}
        own = {f"{name}/{file}" for file in OWN - {"index.html"}}
        assert asked == own | runtime | {"web_probe.js"}


class Elsewhere(Handler):
    """A server that pages must not reach."""

    reached = []

    def parse_request(self):
        self.reached.append(self.raw_requestline)
        return super().parse_request()


def check_others(found, names):
    """What a page says of several files at once, of what it cannot take, and to those who see no canvas."""
    assert found["together"] == "4 pictures, 0 of them not classified"
    assert [text.partition(": ")[0] for text in found["options"]] == names[:4]
    assert all(re.search(r": .+, \d+\.\d %$", text) for text in found["options"])
    assert found["text"] == "That is no file: save the picture, and drop or choose its file."
    assert found["heic"] == "IMG_1.HEIC: it is HEIC, which this browser cannot read; save it as JPEG"
    assert found["pasted"].startswith(f"{names[0]}: no label (")
    assert found["empty"] == "No label reaches 150.0 %."
    assert found["alternative"].startswith(f"{names[0]} as the network saw it, ")
    stopped = {"connect-src", "form-action", "frame-src", "img-src", "media-src", "object-src"}
    assert stopped | {"script-src-elem", "style-src-elem"} == set(found["stopped"])
    assert not Elsewhere.reached


def is_exact():
    """Whether this OpenCV is one whose linear filter was repeated bit for bit."""
    cv2 = pytest.importorskip("cv2")
    return cv2.__version__.startswith("4.")


@needs_browser
@pytest.mark.slow
def test_a_page_that_is_opened_from_a_file_says_what_it_needs(tmp_path):
    shutil.copytree(web.SOURCES, tmp_path / "web")
    text = browse(tmp_path / "web/index.html", tmp_path / "profile", "--dump-dom")
    (status,) = re.findall(r'<p id="status"[^>]*>(.*?)</p>', text)
    assert "needs a server: run <code>python -m http.server</code> in its folder" in status
    assert "<main hidden" in text


@needs_onnx
@pytest.mark.slow
@pytest.mark.network
def test_the_folder_holds_what_the_page_needs_and_licences(page):
    folder, log = page
    files = {str(path.relative_to(folder / "web")) for path in (folder / "web").rglob("*") if path.is_file()}
    assert files == OWN | {f"onnxruntime/{name}" for name in RUNTIME}
    assert "MIT License" in (folder / "web/onnxruntime/LICENSE").read_text()
    assert f"{folder / web.PAGE}: read by browsers" in log and not (folder / "inference.onnx").exists()
    settings = json.loads((folder / "web/model.json").read_text(encoding="utf-8"))
    text = (folder / "web/index.html").read_text(encoding="utf-8")
    versions = re.findall(r'(?:src|href)="[\w./]+\?(\w+)"', text)
    assert versions == [settings["page"]] * 4  # so that no browser takes a file of another release
    assert settings["outputs"] == ["scores", "gates_1", "gates_2", "gates_3", "gates_4"]
    assert settings["strides"] == [None, 4, 8, 16, 32]
    assert descriptions.read(folder).outputs == ["scores"]


@needs_onnx
@pytest.mark.slow
def test_without_a_network_nothing_is_written(digits, trained, exported, tmp_path, monkeypatch):
    monkeypatch.setenv("PADDLECLAS_HOME", str(clas_home()))  # found in the home that is replaced now
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv(npm.VARIABLE, "http://127.0.0.1:9")
    log = export(digits, trained, tmp_path / "export", check=False)
    assert re.match("error: cannot download http://127.0.0.1:9/onnxruntime-web/", error_line(log))
    assert not list((tmp_path / "export").glob("*"))


def clas_home():
    from ppcls_mixformer.hosting import source
    from ppcls_mixformer.paddleclas import HOST

    return source.locate(HOST)


def test_gates_of_another_network_are_refused(bridged_paddleclas):
    engine = SimpleNamespace(model=object(), config={"Arch": {"name": "ResNet18"}})
    with pytest.raises(UserError, match="^--saliency: Arch.name is ResNet18, but it needs a MixFormer"):
        outputs_of(engine, False, True)
    assert outputs_of(engine, False, False) == ["scores"]


@pytest.mark.parametrize(
    "operators, said",
    [
        ([{"ResizeImage": {"size": 8, "interpolation": "area"}}, TO_CHW], "resize by area of cv2, but by"),
        ([NORMALIZE, {"CropImage": {"size": 8}}, TO_CHW], "no CropImage behind NormalizeImage"),
        ([TO_CHW, NORMALIZE, NORMALIZE], "no NormalizeImage behind NormalizeImage"),
        ([NORMALIZE], "the transforms have no ToCHWImage"),
    ],
)
def test_what_the_page_cannot_do_is_refused(operators, said):
    with pytest.raises(UserError, match=f"^--web: .*{said}"):
        web.preparation(operators)


def test_a_page_of_somebody_else_stays(tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / web.PAGE).write_text("my own")
    described = descriptions.Description([NORMALIZE, TO_CHW], image_shape=[3, 8, 8])
    with pytest.raises(UserError, match=r"^--web: .*index\.html is not of an export"):
        web.check(tmp_path, described)
    assert web.PAGE not in asked_of(tmp_path)
    (tmp_path / "other/web/index.html").mkdir(parents=True)
    with pytest.raises(UserError, match=r"^--web: .*index\.html is not of an export"):
        web.check(tmp_path / "other", described)
    assert web.PAGE not in asked_of(tmp_path / "other")
    (tmp_path / "file").mkdir()
    (tmp_path / "file/web").write_text("my own")
    with pytest.raises(UserError, match="^--web: .*file/web is no folder"):
        web.check(tmp_path / "file", described)
    for lacking in (None, described._replace(image_shape=None)):
        with pytest.raises(UserError, match="^--web: the page would not know how to prepare pictures"):
            web.check(tmp_path, lacking)


@needs_onnx
def test_a_page_of_a_killed_export_is_whole(tmp_path, monkeypatch):
    """Nothing of a page is there until all of it is."""
    described = descriptions.Description([NORMALIZE, TO_CHW], image_shape=[3, 8, 8])
    monkeypatch.setattr(npm, "read", lambda tarball, names: [b""] * len(names))
    with pytest.raises(FileNotFoundError):
        web.write(tmp_path, tmp_path / "no model", described, ["scores"], None)
    assert not list((tmp_path / "web").iterdir())
    (tmp_path / "model").write_bytes(b"")
    web.write(tmp_path, tmp_path / "model", described, ["scores"], None)
    (tmp_path / "web/mine.png").write_bytes(b"")
    web.write(tmp_path, tmp_path / "model", described, ["scores"], None)
    assert {path.name for path in (tmp_path / "web").iterdir()} == OWN | {"onnxruntime", "mine.png"}
    assert web.PAGE in asked_of(tmp_path)  # which the next export removes, as it does other formats
