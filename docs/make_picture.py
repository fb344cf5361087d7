"""Draws the picture of the README: a stretch of the sample record with its beats labelled.

    python docs/make_picture.py [--start-s 20] [--seconds 12]

Runs the shipped model on examples/208_excerpt and writes docs/beats.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from ectopy.commands.predict import DEFAULT_MODEL, predicted
from services.ecg.readers.files import record_from_path

ROOT = Path(__file__).resolve().parents[1]
# Okabe and Ito's colours, which colour-blind eyes tell apart
COLORS = {"N": "#0072B2", "S": "#E69F00", "V": "#D55E00", "F": "#CC79A7", "Q": "#777777"}
MM_PER_S, MM_PER_MV = 25.0, 10.0


def main() -> None:
    arguments = _arguments()
    path = ROOT / "examples" / "208_excerpt.hea"
    record = record_from_path(path)
    result = predicted(path, model=DEFAULT_MODEL, device="cpu")
    rate_hz = record.sampling_rate_hz
    first = round(arguments.start_s * rate_hz)
    last = first + round(arguments.seconds * rate_hz)
    signal = record.signal[0, first:last]
    figure, axes = plt.subplots(figsize=(12, 2.9), dpi=130)
    _paper(axes, arguments.seconds, signal)
    axes.plot(np.arange(len(signal)) / rate_hz, signal, color="black", linewidth=0.9)
    top = float(np.nanmax(signal)) + 0.4
    for sample, label, p in zip(
        result.sample, result.label_index, result.probabilities.max(axis=1), strict=True
    ):
        if first <= sample < last:
            name = result.labels[label]
            at = (sample - first) / rate_hz
            axes.text(at, top, name, color=COLORS[name], ha="center", weight="bold", fontsize=13)
            axes.text(at, top - 0.17, f"{p:.2f}", color=COLORS[name], ha="center", fontsize=6.5)
    counts = ", ".join(f"{name} {n}" for name, n in result.counts().items() if n)
    axes.set_title(
        f"MIT-BIH 208 ({record.lead_names[0]}), 25 mm/s, 10 mm/mV. "
        f"In five minutes: {counts}; {result.mean_heart_rate_bpm():.0f}/min",
        fontsize=9,
        loc="left",
    )
    figure.tight_layout()
    figure.savefig(ROOT / "docs" / "beats.png")


def _paper(axes: plt.Axes, seconds: float, signal: np.ndarray) -> None:
    low, high = float(np.nanmin(signal)) - 0.2, float(np.nanmax(signal)) + 0.75
    for step, width in ((0.04, 0.3), (0.2, 0.8)):
        axes.vlines(np.arange(0, seconds + 1e-9, step), low, high, color="#f3b8b0", lw=width)
        mv = step * MM_PER_S / MM_PER_MV
        axes.hlines(np.arange(low, high, mv), 0, seconds, color="#f3b8b0", lw=width)
    axes.set(xlim=(0, seconds), ylim=(low, high), aspect=MM_PER_MV / MM_PER_S)
    axes.set_xticks([])
    axes.set_yticks([])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start-s", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=12.0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
