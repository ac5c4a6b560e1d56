# SPDX-License-Identifier: MIT
"""Records of the adopted programs in one process and in four, their table and figure; see run.sh and
../records.py."""

from pathlib import Path

from record_io import rounded, table

POINTS = 50
TITLES = {"mnist": "MNIST", "gan": "GAN: the discriminator's", "lstm": "LSTM, per character",
          "finetune": "fine-tuning"}


def record(name, folder):
    """The mean loss of all processes over each of POINTS equal parts of the run."""
    folder = Path(folder)
    samples = int((folder / "samples").read_text())
    curves = [[float(line) for line in file.read_text().split()]
              for file in sorted(folder.glob("loss-*"))]
    processes = int(name.split("/")[1])
    if len(curves) != processes or len({len(curve) for curve in curves}) != 1:
        raise ValueError(f"{folder}: {processes} processes must leave curves of one length, there "
                         f"are {[len(curve) for curve in curves]}")
    steps = len(curves[0])
    parts = [(steps * i // POINTS, steps * (i + 1) // POINTS) for i in range(POINTS)]
    said = [line for line in (folder / "said").read_text().splitlines()
            if not line.startswith("launch.sh")]
    return {"samples": steps * processes * samples, "steps": steps, "said": said[-1],
            "loss": [rounded(sum(sum(curve[a:b]) for curve in curves) / (b - a) / processes)
                     for a, b in parts]}


def texts(runs):
    rows = [[name, processes, f"{run['samples']:,}", f"{run['steps']:,}", f"{run['loss'][0]:.3f}",
             f"{sum(run['loss'][-5:]) / 5:.3f}", run["said"]]
            for program in TITLES for (name, processes), run in
            ((key.split("/"), run) for key, run in runs.items()) if name == program]
    return {"records/adopt.md": table(
        ("program", "processes", "samples", "steps of each", "loss, first 2 %",
         "loss, last 10 %", "what it prints"), rows)}


def draw(runs):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(TITLES), figsize=(14, 3.2))
    for axis, (program, title) in zip(axes, TITLES.items()):
        for processes, style in (("1", "-"), ("4", "--")):
            run = runs[f"{program}/{processes}"]
            at = [run["samples"] * (i + 0.5) / POINTS / 1000 for i in range(POINTS)]
            axis.plot(at, run["loss"], style,
                      label="one process" if processes == "1" else "four processes")
        axis.set_title(title)
        axis.set_xlabel("thousand samples, all processes")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("training loss")
    axes[0].legend()
    return figure
