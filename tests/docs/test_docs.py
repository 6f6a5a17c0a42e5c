"""The documentation: both languages say the same, published tables are complete, paths and links exist."""

import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGLISH = ROOT / "docs/en"
CHINESE = ROOT / "docs/zh_CN"
PAIRS = {"README": (ROOT / "README.md", ROOT / "README_zh.md")}
PAIRS.update({page.stem: (page, CHINESE / page.name) for page in sorted(ENGLISH.glob("*.md"))})
PAGES = [*itertools.chain(*PAIRS.values()), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")  # groups: "!" for an image, target
COMMENT = re.compile(r"(^|\s)#.*$", re.MULTILINE)
FOLDERS = "benchmarks|configs|demo|docs|ppcls_mixformer|tests|tools"
PROJECT_PATH = re.compile(rf"(?<![\w./~-])(?:{FOLDERS})/[\w./{{}},-]*\w")
CONFIG_NAME = re.compile(r"(?:-c|--config) ([\w-]+)(?=[\s`])")

# Of the published model page: backbone and its cells, as they stand there.
PUBLISHED = {
    "MixFormer": """
        MixFormer_B0 0.4 76.5
        MixFormer_B1 0.7 78.9
        MixFormer_B2 0.9 80.0
        MixFormer_B3 1.9 81.7
        MixFormer_B4 3.6 83.0
        MixFormer_B5 6.8 83.5
        MixFormer_B6 12.7 83.8
    """,
    "DensePrediction": """
        Swin-T 48 264 3x 46.0 41.6
        MixFormer_B1 26 183 3x 43.9 40.0
        MixFormer_B2 28 187 3x 45.1 40.8
        MixFormer_B3 35 207 3x 46.2 41.9
        MixFormer_B4 53 243 3x 47.6 43.0
        Swin-T 60 945 160k 44.5 45.8
        MixFormer_B1 35 854 160k 42.0 43.5
        MixFormer_B2 37 859 160k 43.1 43.9
        MixFormer_B3 44 880 160k 44.5 45.5
        MixFormer_B4 63 918 160k 46.8 48.0
        ResNet50 71.8 89.8 79.5
        Swin-T 74.2 92.5 82.5
        HRFormer-S 74.5 92.3 82.1
        MixFormer_B4 75.3 93.5 83.5
        ResNet50 21.7 34.3 23.0
        Swin-T 27.6 43.0 29.3
        MixFormer_B4 28.6 43.4 30.5
    """,
}
PUBLISHED_ROWS = [(page, row.split()) for page, rows in PUBLISHED.items() for row in rows.strip().split("\n")]

both_languages = pytest.mark.parametrize("pages", PAIRS.values(), ids=PAIRS)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def read(page):
    return page.read_text(encoding="utf-8")


def prose(page):
    """Text of a page without its code blocks."""
    return FENCE.sub("", read(page))


def code_blocks(page):
    """Language and lines of each code block, without comments."""
    return [
        (language, [line.rstrip() for line in COMMENT.sub("", block).split("\n") if line.strip()])
        for language, block in FENCE.findall(read(page))
    ]


def tables(page):
    """Each table as its rows of cells, the header first."""
    found = []
    for is_table, lines in itertools.groupby(prose(page).split("\n"), lambda line: line.startswith("|")):
        if is_table:
            rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
            found.append([rows[0], *rows[2:]])
    return found


def untranslated(cell):
    """What a cell has in either language: its numbers and code, in any order, and marks."""
    return (
        sorted(re.findall(r"\d+(?:\.\d+)?", cell)),
        sorted(re.findall(r"`[^`]+`", cell)),
        cell.count("†"),
    )


def stand_in_order(wanted, cells):
    """Whether `cells` holds all of `wanted`, in that order, with others between them or not."""
    rest = iter(cells)
    return all(cell in rest for cell in wanted)


def anchors(page):
    """Names by which GitHub links to the headings of a page."""
    return {
        re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
        for _, text in HEADING.findall(prose(page))
    }


def alternatives(path):
    """`a{1,2}b` as `a1b` and `a2b`, as a shell does."""
    parts = [part.split(",") for part in re.split(r"[{}]", path)]
    return ["".join(choice) for choice in itertools.product(*parts)]


def test_every_page_exists_in_both_languages():
    assert {page.name for page in ENGLISH.glob("*.md")} == {page.name for page in CHINESE.glob("*.md")}


@both_languages
def test_headings_have_the_same_levels_in_both_languages(pages):
    english, chinese = ([marks for marks, _ in HEADING.findall(prose(page))] for page in pages)
    assert chinese == english


@both_languages
def test_code_blocks_are_the_same_in_both_languages(pages):
    english, chinese = map(code_blocks, pages)
    assert chinese == english


@both_languages
def test_tables_have_the_same_numbers_and_code_in_both_languages(pages):
    english, chinese = (
        [[[untranslated(cell) for cell in row] for row in table] for table in tables(page)] for page in pages
    )
    assert chinese == english


@both_languages
def test_images_are_the_same_in_both_languages(pages):
    english, chinese = (
        [(page.parent / target).resolve() for image, target in LINK.findall(read(page)) if image]
        for page in pages
    )
    assert chinese == english


@pytest.mark.parametrize("language", [0, 1], ids=["English", "Chinese"])
@pytest.mark.parametrize(
    "page, published", PUBLISHED_ROWS, ids=["-".join(row[:3]) for _, row in PUBLISHED_ROWS]
)
def test_every_published_cell_is_shown_and_marked_as_published(page, published, language):
    backbone, *wanted = published
    found = []
    for header, *rows in tables(PAIRS[page][language]):
        marked = {column for column, name in enumerate(header) if "†" in name}
        for name, *cells in rows:
            shown = [cell for i, cell in enumerate(cells, 1) if "†" in cell or i in marked]
            found.append((name, [cell.replace("†", "").strip() for cell in shown]))
    assert any(name == backbone and stand_in_order(wanted, cells) for name, cells in found)


@every_page
def test_relative_links_lead_somewhere(page):
    for _, target in LINK.findall(prose(page)):
        if not target.startswith("http"):
            path, _, anchor = target.partition("#")
            linked = (page.parent / path).resolve() if path else page
            assert linked.exists(), target
            assert not anchor or anchor in anchors(linked), target


@every_page
def test_paths_of_the_project_exist(page):
    named = itertools.chain(*map(alternatives, PROJECT_PATH.findall(read(page))))
    assert not [path for path in named if not (ROOT / path).exists()]


@every_page
def test_configs_that_are_named_exist(page):
    known = {path.stem for path in (ROOT / "configs").rglob("*.y*ml")}
    assert set(CONFIG_NAME.findall(read(page))) <= known
