"""A benchmark's results as a Markdown table and as a bar chart."""

import statistics


def rates(timing, name):
    """Images a second of a network: median, slowest and fastest round."""
    seconds = timing["seconds"][name]
    return tuple(timing["batch"] / s for s in (statistics.median(seconds), max(seconds), min(seconds)))


def fraction_of_gemm(timing, name, gflops):
    """The network's multiply-adds a second over those of large matrix products in the same run."""
    if timing["gemm_gflops"] is None:
        return "–"
    return f"{rates(timing, name)[0] * gflops / timing['gemm_gflops']:.2f}"


def table(results):
    """Markdown: the networks, and their speeds mode by mode, each against the last network named."""
    names = list(results["networks"])
    lines = [
        f"paddlepaddle {results['paddle']}, {results['device']} ({results['machine']}), "
        f"AMP {results['amp']}, {results['environment']} environment, {results['size']}×{results['size']}, "
        f"median of {results['rounds']} interleaved rounds",
        "",
        "| network | parameters M | GFLOPs | top-1 % (published) |",
        "|---|---|---|---|",
    ]
    for name, facts in results["networks"].items():
        lines.append(f"| {name} | {facts['params']:.1f} | {facts['gflops']:.2f} | {facts['top1']} |")
    lines += [
        "",
        f"| mode | batch | network | images/s (slowest – fastest) | against {names[-1]} | of GEMM ceiling |",
        "|---|---|---|---|---|---|",
    ]
    for timing in results["timings"]:
        reference = rates(timing, names[-1])[0]
        for name in names:
            median, slowest, fastest = rates(timing, name)
            fraction = fraction_of_gemm(timing, name, results["networks"][name]["gflops"])
            lines.append(
                f"| {timing['mode']} | {timing['batch']} | {name} | {median:.2f} ({slowest:.2f} – "
                f"{fastest:.2f}) | {median / reference:.2f}× | {fraction} |"
            )
    ceilings = ", ".join(
        f"{t['mode']} batch {t['batch']}: {2 * t['gemm_gflops']:.0f}"
        for t in results["timings"]
        if t["gemm_gflops"]
    )
    return "\n".join([*lines, "", f"GEMM ceiling, GFLOP/s: {ceilings}.", ""])


def chart(results, path):
    """Bars of images a second, one panel a mode and batch, with the spread of the rounds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(results["networks"])
    timings = results["timings"]
    figure, axes = plt.subplots(1, len(timings), figsize=(3.2 * len(timings), 3.4), squeeze=False)
    for axis, timing in zip(axes[0], timings):
        for i, name in enumerate(names):
            median, slowest, fastest = rates(timing, name)
            spread = [[median - slowest], [fastest - median]]
            bar = axis.bar(i, median, yerr=spread, capsize=3)
            axis.bar_label(bar, fmt="%.1f", padding=3)
        axis.set_title(f"{timing['mode']}, batch {timing['batch']}", fontsize=10)
        axis.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
        axis.margins(y=0.15)
    axes[0][0].set_ylabel("images a second")
    figure.suptitle(
        f"paddlepaddle {results['paddle']}, {results['device']}, AMP {results['amp']}, "
        f"{results['environment']} environment, {results['size']}×{results['size']}",
        fontsize=10,
    )
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
