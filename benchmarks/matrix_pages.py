"""The results of the matrix as tables of the documentation, in both languages."""

import re

STEPS = ("train", "eval", "resume", "export", "predict", "paddleclas")
PLATFORMS = {
    "win_amd64": "Windows, x86-64",
    "macosx_arm64": "macOS, arm64",
    "manylinux_aarch64": "Linux, aarch64",
}
WORDS = {
    "en": {
        "resume": "resume",
        "command": "command",
        "said": "its last words",
        "platform": "platform",
        "result": "result",
        "resolved": "resolved, not run",
        "unresolved": "not resolved: ",
    },
    "zh_CN": {
        "resume": "恢复训练",
        "command": "命令",
        "said": "最后的输出",
        "platform": "平台",
        "result": "结果",
        "resolved": "已解析,未运行",
        "unresolved": "无法解析:",
    },
}
# A table stands between two comments, `<!-- table: NAME -->` and `<!-- end -->`.
PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(page, results, language):
    """The text of a page with its tables replaced by those of the results."""
    words = WORDS[language]
    tables = {"runs": runs(results, words), "failures": failures(results, words)}
    tables["resolved"] = resolved(results, words)
    return PLACE.sub(lambda place: f"{place[1]}\n{tables[place[2]]}\n\n{place[3]}", page)


def table(header, rows):
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return (
        "\n".join(f"| {' | '.join(line)} |" for line in lines)
        .replace("| --- ", "|---")
        .replace("--- |", "---|")
    )


def runs(results, words):
    """What was run: a row for each environment."""
    header = ["Python", "paddlepaddle", "numpy", "OpenCV", "`train`", "`eval`", words["resume"]]
    header += ["`export`", "`predict`", "`paddleclas`"]
    rows = []
    for result in results["runs"]:
        packages, steps = result.get("packages", {}), result.get("steps", {})
        cells = [result["python"], result["paddle"]]
        cells += [packages.get(name) or "–" for name in ("numpy", "opencv-python")]
        rows.append(cells + [mark(steps.get(name)) for name in STEPS])
    return table(header, rows)


def mark(step):
    """How a command went; of an export that worked, the formats that it wrote."""
    if step is None:
        return "–"
    formats = ", ".join(f"`{name}`" for name in step.get("formats", []))
    return (formats or "✓") if step["works"] else "✗"


def failures(results, words):
    """Why the commands that failed did so."""
    rows = []
    for result in results["runs"]:
        said = {name: step["reason"] for name, step in result.get("steps", {}).items() if not step["works"]}
        said.update({f"pip {name}": result[name] for name in ("install",) if name in result})
        for name, reason in said.items():
            rows.append([result["python"], result["paddle"], f"`{name}`", quoted(reason)])
    return table(["Python", "paddlepaddle", words["command"], words["said"]], rows)


def resolved(results, words):
    """What pip found for other platforms."""
    rows = []
    for result in results["resolved"]:
        said = words["unresolved"] + quoted(result["reason"]) if "reason" in result else words["resolved"]
        rows.append([PLATFORMS[result["platform"]], result["python"], result["paddle"], said])
    return table([words["platform"], "Python", "paddlepaddle", words["result"]], rows)


def quoted(reason):
    """A line of output as code in a cell."""
    return "`" + reason.replace("|", "/").replace("`", "'").strip() + "`"
