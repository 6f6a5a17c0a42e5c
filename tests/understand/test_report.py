"""The page of a report: it shows what the evaluation says, and asks for nothing outside itself."""

import csv
import json

import numpy as np
import pytest
from browser import Page, browse, needs_browser
from matplotlib.figure import Figure
from PIL import Image

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.understand import beside, figures, metrics, report
from ppcls_mixformer.understand.one_label import OneLabel
from ppcls_mixformer.understand.several_labels import SeveralLabels

AVERAGES = {
    "Train": {epoch: {"loss": 2 / epoch, "top1": epoch / 10} for epoch in (1, 2, 3)},
    "Eval": {1: {"loss": 1.0, "top1": 0.5}, 2: {"loss": 0.8, "top1": 0.75}, 3: {"loss": 0.9, "top1": 0.7}},
}


def tiles(number, classes):
    return [("picture", np.full((40, 60, 3), 9 * number % 256, "uint8"))]


def write(evaluation, folder, parts=OneLabel, **changes):
    fields = dict(
        title='Digits "<script>alert(1)</script>"',
        lines=["a.pdparams", "liste & é"],
        parts=parts(evaluation),
        averages=AVERAGES,
        log="train.log",
        tiles=tiles,
        heat="",
        most=2,
        others=[],
        foot="now",
    )
    report.write(report.Report(**{**fields, **changes}), folder)
    return (folder / report.PAGE).read_text(encoding="utf-8")


def rows_of(folder):
    with open(folder / report.TABLE, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check_against_table(page, rows):
    """Holds the numbers of a page to the rows of predictions.csv."""
    right = [row["is_right"] == "1" for row in rows]
    assert [row["true_id"] == row["predicted_id"] for row in rows] == right
    assert page.numbers["top1"] == pytest.approx(sum(right) / len(rows))
    assert page.numbers["mistakes"] == len(rows) - sum(right)
    losses = [-np.log(float(row["true_score"])) for row in rows]
    assert page.numbers["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    for name, precision, recall, f1, support, predictions in page.tables["classes"]:
        hits = sum(row["true_name"] == row["predicted_name"] == name for row in rows)
        assert int(support) == sum(row["true_name"] == name for row in rows)
        assert int(predictions) == sum(row["predicted_name"] == name for row in rows)
        assert float(precision) == pytest.approx(hits / max(int(predictions), 1))
        assert float(recall) == pytest.approx(hits / max(int(support), 1))
        assert float(f1) == pytest.approx(2 * hits / (int(support) + int(predictions)))


def check_self_contained(page):
    assert page.images and all(address.startswith("data:image/") for address in page.images)
    assert all(address.startswith("data:") for address in page.addresses)


def test_numbers_tables_and_files(evaluation, tmp_path):
    page = Page(write(evaluation, tmp_path))
    rows = rows_of(tmp_path)
    assert [row["file_name"] for row in rows] == evaluation.files
    assert rows[4]["true_name"] == "<b>é & 中</b>" and rows[4]["predicted_name"] == "cat"
    check_against_table(page, rows)
    check_self_contained(page)
    assert page.numbers.keys() == {"top1", "macro_f1", "loss", "ece", "mistakes"}  # of four classes
    saved = json.loads((tmp_path / report.SUMMARY).read_text(encoding="utf-8"))
    assert all(saved[name] == value for name, value in page.numbers.items())
    assert len(page.tables["classes"]) == 3 and len(page.tables["confusions"]) == 2
    for name in ("curves.png", *OneLabel.figures):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 150 and len(picture.convert("RGB").getcolors(1 << 20)) > 20


def test_what_names_hold_is_shown_and_not_run(evaluation, tmp_path):
    text = write(evaluation, tmp_path)
    assert "<script>alert" not in text and "<b>é" not in text
    assert "&lt;b&gt;é &amp; 中&lt;/b&gt;" in text
    assert text.count("<script>") == 1


def test_mistakes_are_shown_worst_first_and_the_best_epoch_is_named(evaluation, tmp_path):
    text = write(evaluation, tmp_path, most=1)
    places = [text.index(file) for file in ("folder/2.png", "folder/4.png", "folder/1.png")]
    assert places == sorted(places) and "folder/0.png" not in text
    assert "The best epoch was 2 of 3, with 75.00%" in text
    averaged = {**AVERAGES, "EMA": {3: {"loss": 0.7, "top1": 0.8}}}
    assert "The best epoch was 3 of 3, with 80.00%" in write(evaluation, tmp_path, averages=averaged)


def test_without_a_log_and_without_mistakes(evaluation, tmp_path):
    write(evaluation, tmp_path)
    right = evaluation._replace(true=evaluation.predicted)
    text = write(right, tmp_path, averages=None, log="There is no train.log.")
    assert "There is no train.log." in text and "There are none." in text
    assert not (tmp_path / "curves.png").exists()  # that of the report before


def test_names_of_files_that_are_no_text_and_many_classes(tmp_path):
    rng = np.random.default_rng(0)
    scores = metrics.softmax(rng.normal(size=(50, 300)))
    files = [f"a\udcff{number}.png" for number in range(50)]
    names = [f"名字 {number} $x_1$" for number in range(300)]
    evaluation = metrics.Evaluation(files, rng.integers(0, 300, 50), scores, names)
    page = Page(write(evaluation, tmp_path))
    assert rows_of(tmp_path)[0]["file_name"] == "a\\udcff0.png"
    check_against_table(page, rows_of(tmp_path))
    assert "top5" in page.numbers


def test_a_report_that_fails_leaves_the_one_before(evaluation, tmp_path):
    before = write(evaluation, tmp_path)

    def fail(number, classes):
        raise OSError("full")

    with pytest.raises(OSError):
        write(evaluation, tmp_path, title="other", tiles=fail)
    assert (tmp_path / report.PAGE).read_text(encoding="utf-8") == before
    assert (
        len(list(tmp_path.iterdir())) == len(OneLabel.figures) + 1 + 3
    )  # of epochs, page, table and numbers


def test_reports_side_by_side(evaluation, tmp_path):
    better = evaluation._replace(true=np.array([0, 0, 1, 1, 0, 0]))  # of these the last one is wrong
    write(better, tmp_path / "other", title="The other", averages=None)
    others = [beside.read(tmp_path / "other", OneLabel)]
    text = write(evaluation, tmp_path / "own", others=others)
    page = Page(text)
    own, other = page.tables["beside"]
    assert float(own[1]) == page.numbers["top1"] == pytest.approx(4 / 6)
    assert other[0] == "The other" and float(other[1]) == pytest.approx(5 / 6)
    assert other[-3:] == ["1", "2", "6"]  # only this one, only the other, in both
    assert (tmp_path / "own/comparison.png").is_file()
    again = beside.read(tmp_path / "own", OneLabel)
    assert again.averages == AVERAGES and again.numbers["mistakes"] == 2
    assert list(again.is_right.values()) == evaluation.is_right.tolist()


def test_reports_of_other_classes_and_of_another_kind(evaluation, several, tmp_path):
    write(evaluation._replace(names=list("abcd")), tmp_path / "other", title="Letters")
    others = [beside.read(tmp_path / "other", OneLabel)]
    text = write(evaluation, tmp_path / "own", others=others)
    assert "Its numbers are of other classes: Letters." in text
    with pytest.raises(UserError, match="pictures have one label there, and several here"):
        beside.read(tmp_path / "other", SeveralLabels)
    write(several, tmp_path / "several", SeveralLabels)
    with pytest.raises(UserError, match="pictures have several labels there, and one here"):
        beside.read(tmp_path / "several", OneLabel)


def check_several_against_table(page, rows, names):
    """Holds the numbers of a page on several labels to the rows of predictions.csv."""
    true = np.array([[str(n) in row["true_ids"].split("|") for n in range(len(names))] for row in rows])
    given = np.array([[float(row[f"score {name}"]) > 0.5 for name in names] for row in rows])
    for row, own, answers in zip(rows, true, given):
        assert row["true_names"] == "|".join(name for name, is_there in zip(names, own) if is_there)
        assert row["predicted_ids"] == "|".join(map(str, np.flatnonzero(answers)))
        assert row["is_right"] == str(int((own == answers).all()))
    assert page.numbers["accuracy"] == pytest.approx((true == given).mean())
    assert page.numbers["exact_match"] == np.mean([row["is_right"] == "1" for row in rows])
    assert page.numbers["mistakes"] == (true != given).sum()
    for name, *values in page.tables["classes"]:
        own, answers = true[:, names.index(name)], given[:, names.index(name)]
        cells = [
            (own & answers).sum(),
            (~own & answers).sum(),
            (own & ~answers).sum(),
            (~own & ~answers).sum(),
        ]
        assert list(map(int, values[4:])) == [own.sum(), *cells]
        assert float(values[1]) == pytest.approx(cells[0] / max(answers.sum(), 1))
        assert float(values[2]) == pytest.approx(cells[0] / max(own.sum(), 1))


def test_a_report_of_several_labels(several, tmp_path):
    logged = {"Train": {1: {"loss": 2.0}}, "Eval": {1: {"loss": 1.0, "HammingDistance": 0.25}}}
    logged["Eval"][2] = {"loss": 0.9, "HammingDistance": 0.125}
    write(several, tmp_path / "first", SeveralLabels, title="The first", averages=logged)
    others = [beside.read(tmp_path / "first", SeveralLabels)]
    text = write(several, tmp_path / "second", SeveralLabels, averages=logged, others=others)
    page = Page(text)
    check_several_against_table(page, rows_of(tmp_path / "second"), several.names)
    check_self_contained(page)
    assert "The best epoch was 2 of 2, with 12.50%" in text
    assert "<script>alert" not in text and text.count("<script>") == 1
    own, other = page.tables["beside"]
    assert own[1:-3] == other[1:-3] and other[-3:] == ["0", "0", "6"]
    for name in ("comparison.png", "curves.png", *SeveralLabels.figures):
        with Image.open(tmp_path / "second" / name) as picture:
            assert min(picture.size) > 150 and len(picture.convert("RGB").getcolors(1 << 20)) > 20


def test_the_worst_labels_come_first_with_what_is_there_or_given(several, tmp_path):
    text = write(several, tmp_path, SeveralLabels)
    alarms, misses = (text.index(f"<h2>The worst {kind}") for kind in ("false alarms", "misses"))
    assert text.index("90.0% · there: cat 20.0%") > alarms
    assert misses < text.index("20.0% · given: dog 90.0%") < text.index("45.0% · given: none")
    right = several._replace(true=several.predicted)
    text = write(right, tmp_path, SeveralLabels)
    assert "There are none." in text and "false alarms</h2>" not in text


def test_another_kind_of_report_leaves_no_figures_behind(evaluation, several, tmp_path):
    write(evaluation, tmp_path)
    write(several, tmp_path, SeveralLabels)
    report.check_output("--output", tmp_path)
    assert not (tmp_path / "confusion.png").exists() and (tmp_path / "together.png").exists()


def test_files_that_no_report_has_written_stay(evaluation, tmp_path):
    report.check_output("--output", tmp_path / "new")
    write(evaluation, tmp_path)
    (tmp_path / "mine.txt").touch()
    report.check_output("--output", tmp_path)
    for name, content in ((report.TABLE, "a,b"), ("comparison.png", "mine"), (report.PAGE, "mine")):
        write(evaluation, tmp_path)
        (tmp_path / name).write_text(content)
        with pytest.raises(UserError, match=f"--report .* holds {name}, which this command has not written"):
            report.check_output("--report", tmp_path)
        (tmp_path / name).unlink()
    write(evaluation, tmp_path)
    for content in ("{}", "[1]", '{"files": []}', "\xff"):
        (tmp_path / report.SUMMARY).write_text(content, encoding="latin-1")
        with pytest.raises(UserError, match="has not written"):
            report.check_output("--output", tmp_path)


def test_axes_of_a_run_of_one_epoch_tell_their_marks_apart():
    axis = Figure().subplots()
    axis.plot([1, 1], [0.165, 0.18], "o")
    figures.mark_epochs(axis)
    axis.yaxis.set_major_formatter(figures.shares())
    axis.figure.canvas.draw()
    epochs = [label.get_text() for label in axis.get_xticklabels()]
    assert "1" in epochs and all(text.isdigit() for text in epochs)
    texts = [label.get_text() for label in axis.get_yticklabels()]
    assert len(texts) == len(set(texts)) > 2 and all(text.endswith("%") for text in texts)


def test_what_is_no_report_is_refused(evaluation, tmp_path):
    with pytest.raises(UserError, match="it has no report.json, as the folder of a report has"):
        beside.read(tmp_path, OneLabel)
    for name, content in (
        (report.SUMMARY, "{"),
        (report.SUMMARY, "[]"),
        (report.SUMMARY, '{"averages": 3}'),
        (report.TABLE, "a,b\n1,2\n"),
    ):
        write(evaluation, tmp_path)
        (tmp_path / name).write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match="report.json or predictions.csv is damaged"):
            beside.read(tmp_path, OneLabel)


@needs_browser
def test_a_browser_shows_the_numbers_and_sorts(evaluation, tmp_path):
    write(evaluation, tmp_path)
    page = Page(browse(tmp_path / report.PAGE, tmp_path / "profile", "--dump-dom"))
    check_against_table(page, rows_of(tmp_path))
    check_self_contained(page)
    assert page.buttons == 3 + 6 + 4  # which the script of the page has made
    shot = tmp_path / "shot.png"
    browse(tmp_path / report.PAGE, tmp_path / "profile", f"--screenshot={shot}", "--window-size=1200,3000")
    with Image.open(shot) as picture:
        colours = picture.convert("RGB").getcolors(1 << 24)
    found = {colour for count, colour in colours if count > 500}
    assert (18, 38, 63) in found  # the head, by the style
    assert (18, 18, 18) in found  # a thumbnail, by its data
