"""The table of Reanalyse with very many rows: how long what a hand asks for takes.

    QT_QPA_PLATFORM=offscreen python -m benchmarks.table [--rows 10000000]

Told are the seconds until a table is shown, sorted, filtered and scrolled, beside the plainest way
to sort and filter the same columns with NumPy; and by how much the event loop was late meanwhile,
which is what makes a window feel stuck.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from PyQt6.QtWidgets import QApplication

from benchmarks.recording import resident_bytes
from benchmarks.window import Heartbeat, wait
from dsacq.data import Localizations
from ui.panels.results_plots import ResultsPlots
from ui.panels.results_table import ResultsTable

FILTER = "photons > 2000 and sigma_z_um < 0.05"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    application = QApplication([])
    found = made(rows)
    print(f"{rows:,} rows, {resident_bytes() / 1e9:.1f} GB held with the table alone")

    photons, sigma = (found.table[name].to_numpy() for name in ("photons", "sigma_z_um"))
    told("NumPy sorts", lambda: np.argsort(photons, kind="stable"))
    told("NumPy filters", lambda: np.flatnonzero((photons > 2000) & (sigma < 0.05)))

    table, plots = ResultsTable(), ResultsPlots()
    for widget in (table, plots):
        widget.resize(390, 600)
        widget.show()
    beat = Heartbeat()
    told("shown", lambda: settled(table, lambda: table.set_localizations(found)))
    told("sorted", lambda: settled(table, lambda: table.model.sort(4)))
    told("filtered", lambda: settled(table, lambda: filtered(table)))
    told("scrolled to the end", table.view.scrollToBottom)
    told("plotted", lambda: settled(plots, lambda: plots.set_localizations(found)))
    wait(0.5)
    print(f"event loop late by {beat.told()}")
    print(f"{resident_bytes() / 1e9:.1f} GB held")
    table.stop()
    plots.stop()
    application.quit()


def made(rows: int) -> Localizations:
    """As many localizations, in 1000 rows to a frame."""
    random = np.random.default_rng(0)
    columns = {
        "frame": np.arange(rows) // 1000,
        "x_um": random.random(rows) * 100,
        "y_um": random.random(rows) * 100,
        "z_um": random.random(rows) * 4,
        "photons": random.lognormal(8, 1, rows),
        "background": random.random(rows) * 50,
        "sigma_x_um": random.random(rows) * 0.05,
        "sigma_y_um": random.random(rows) * 0.05,
        "sigma_z_um": random.random(rows) * 0.1,
        "probability": random.random(rows),
        "track": random.integers(-1, rows // 20, rows),
    }
    return Localizations(pd.DataFrame(columns))


def filtered(table: ResultsTable) -> None:
    table.filter.setText(FILTER)
    table.filter.editingFinished.emit()


def settled(widget: ResultsTable | ResultsPlots, ask: Callable[[], object]) -> None:
    """Ask, and wait until nothing is being worked on."""
    ask()
    wait(0.01)
    while widget.busy:
        wait(0.01)


def told(what: str, work: Callable[[], object]) -> None:
    begun = time.perf_counter()
    work()
    print(f"{what:20s} {time.perf_counter() - begun:7.2f} s", flush=True)


if __name__ == "__main__":
    main()
