"""Table and plots of localizations."""

from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import pytest
from PyQt6.QtCore import Qt
from pytestqt.qtbot import QtBot

from dsacq.data import Localizations
from dsacq.files.localizations import read_localizations
from ui.panels.results_plots import ResultsPlots
from ui.panels.results_table import ResultsTable


@pytest.fixture
def found() -> Localizations:
    return Localizations.from_columns(
        {"pixel_um": 0.1},
        frame=[0, 0, 1, 2],
        x_um=[1.0, 2.0, 3.0, 4.0],
        y_um=[1.0, 1.0, 2.0, 2.0],
        z_um=[0.5, 3.0, 1.0, 2.0],
        photons=[3000, 1000, 2500, 9000],
        sigma_z_um=[0.02, 0.03, np.nan, 0.08],
    )


@pytest.fixture
def table(qtbot: QtBot, found: Localizations) -> Generator[ResultsTable]:
    made = ResultsTable()
    qtbot.addWidget(made)
    made.set_localizations(found)
    qtbot.waitUntil(lambda: not made._choosing.busy)
    yield made
    made.stop()


def column(table: ResultsTable, name: str) -> list[float]:
    return [float(table.model.value(row, name)) for row in range(table.model.rowCount())]


def use_filter(qtbot: QtBot, table: ResultsTable, text: str) -> None:
    table.filter.setText(text)
    table.filter.editingFinished.emit()
    qtbot.waitUntil(lambda: not table._choosing.busy)


def test_sorting_puts_unknown_last_and_can_be_undone(qtbot: QtBot, table: ResultsTable) -> None:
    sigma_z = table.model._names.index("sigma_z_um")
    orders = {
        Qt.SortOrder.AscendingOrder: [3000, 1000, 9000, 2500],
        Qt.SortOrder.DescendingOrder: [9000, 1000, 3000, 2500],
    }
    for order, expected in orders.items():
        table.view.sortByColumn(sigma_z, order)
        qtbot.waitUntil(lambda: not table._choosing.busy)
        assert column(table, "photons") == expected
    table.view.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
    qtbot.waitUntil(lambda: not table._choosing.busy)
    assert column(table, "photons") == [3000, 1000, 2500, 9000]
    cell = table.model.index(2, sigma_z)
    assert table.model.data(cell) == "-"


def test_the_filter_and_sorting_outlive_another_table(
    qtbot: QtBot, table: ResultsTable, found: Localizations
) -> None:
    use_filter(qtbot, table, "photons > 2000")
    table.view.sortByColumn(4, Qt.SortOrder.DescendingOrder)
    qtbot.waitUntil(lambda: not table._choosing.busy)
    assert table.counted.text() == "3 of 4 rows"
    brighter = found.table.assign(photons=found.table["photons"] * 3)
    table.set_localizations(Localizations(brighter))
    qtbot.waitUntil(lambda: not table._choosing.busy)
    assert column(table, "photons") == [27000, 9000, 7500, 3000]


def test_a_wrong_filter_is_told_and_changes_nothing(qtbot: QtBot, table: ResultsTable) -> None:
    use_filter(qtbot, table, "photons > 2000")
    use_filter(qtbot, table, "photon > 2000")
    assert table.told.text().startswith("The filter names 'photon'; the columns are frame, x_um")
    assert table.model.rowCount() == 3
    table.filter.clear()
    qtbot.waitUntil(lambda: table.model.rowCount() == 4)
    assert table.told.text() == ""


@pytest.mark.parametrize("ending", ["parquet", "csv", "thunderstorm.csv", "hdf5"])
def test_the_filtered_rows_are_exported(
    qtbot: QtBot, table: ResultsTable, tmp_path: Path, ending: str
) -> None:
    use_filter(qtbot, table, "photons > 2000 and not z_um > 1.5")
    table.view.sortByColumn(4, Qt.SortOrder.AscendingOrder)
    qtbot.waitUntil(lambda: not table._choosing.busy)
    path = tmp_path / f"out.{ending}"
    table.export(path)
    qtbot.waitUntil(lambda: not table._writing.busy)
    assert table.told.text() == f"2 rows written to {path.name}."
    written = read_localizations(path)
    np.testing.assert_allclose(written.table["photons"], [3000, 2500])
    np.testing.assert_allclose(written.table["x_um"], [1, 3], rtol=1e-6)


def test_what_cannot_be_exported_is_told(qtbot: QtBot, table: ResultsTable, tmp_path: Path) -> None:
    table.export(tmp_path / "out.xlsx")
    qtbot.waitUntil(lambda: not table._writing.busy)
    assert "is of an unknown kind" in table.told.text()


def test_plots_follow_table_and_filter(
    qtbot: QtBot, found: Localizations, assert_plotted: Callable[[ResultsPlots, int], None]
) -> None:
    plots = ResultsPlots()
    qtbot.addWidget(plots)
    plots.set_localizations(found)
    assert plots.image.image is None  # nobody looks
    plots.show()
    assert_plotted(plots, 4)
    plots.set_rows(np.array([0, 2]))
    assert_plotted(plots, 2)
    assert plots.counted.text() == "median 2750"
    plots.coloured.setChecked(True)
    qtbot.waitUntil(lambda: plots.image.image is not None and plots.image.image.ndim == 3)
    plots.column.setCurrentText("probability")
    qtbot.waitUntil(lambda: plots.counted.text() == "no values")
    plots.set_localizations(None)
    assert plots.image.image is None
    plots.stop()


@pytest.fixture
def assert_plotted(qtbot: QtBot) -> Callable[[ResultsPlots, int], None]:
    def check(plots: ResultsPlots, rows: int) -> None:
        qtbot.waitUntil(lambda: not plots._counting.busy and not plots._rendering.busy)
        assert plots._bars.yData.sum() == rows
        assert np.count_nonzero(plots.image.image) == rows

    return check
