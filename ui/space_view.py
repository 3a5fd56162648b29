"""Positions and trajectories in a box that turns, or as three projections without OpenGL."""

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QTimer
from PyQt6.QtGui import QShowEvent
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ui.number_box import WholeBox
from ui.opengl import why_no_opengl
from ui.overlay import COLOUR_MAP, Found, tails
from ui.projections import Projections

if TYPE_CHECKING:
    import pandas as pd

_INTERVAL_MS = 100
_TAIL_FRAMES, _MOST_FRAMES = 50, 500
_VIEWS = {"xy": (-90.0, 90.0), "xz": (-90.0, 0.0), "yz": (0.0, 0.0)}  # azimuth, elevation


class SpaceView(QWidget):
    """The newest localized frame as points, and the tracks through the frames before it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._found: deque[Found] = deque(maxlen=_TAIL_FRAMES)
        self._z_range_um = (0.0, 4.0)
        self._stale = True
        self.drawing: Any = None  # made when it is first shown
        self._colours = pg.colormap.get(COLOUR_MAP).getLookupTable(0.0, 1.0, 256)
        self.frames = WholeBox()
        self.frames.setObjectName("space_frames")
        self.frames.setRange(1, _MOST_FRAMES)
        self.frames.setValue(_TAIL_FRAMES)
        self.frames.setSuffix(self.tr(" frames"))
        self.frames.setToolTip(self.tr("How many frames back the tracks are drawn."))
        self.frames.valueChanged.connect(self._set_frames)
        self._told = QLabel()
        self._told.setObjectName("space_told")
        self._told.setWordWrap(True)
        self._told.hide()
        self._buttons = QWidget()
        row = QHBoxLayout()
        row.addWidget(QLabel(self.tr("Tails")))
        row.addWidget(self.frames)
        row.addStretch(1)
        row.addWidget(self._buttons)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(4, 4, 4, 4)
        self._layout.addLayout(row)
        self._layout.addWidget(self._told)
        timer = QTimer(self)
        timer.timeout.connect(self._draw)
        timer.start(_INTERVAL_MS)

    def add_found(self, table: "pd.DataFrame") -> None:
        """Take the table of the newest localized frame."""
        xyz_um = table[["x_um", "y_um", "z_um"]].to_numpy(np.float64)
        linked = "track" in table
        track = table["track"].to_numpy(np.int64) if linked else np.full(len(table), -1)
        self._found.append(Found(track, xyz_um))
        self._stale = True

    def clear(self) -> None:
        self._found.clear()
        self._stale = True

    def set_z_range(self, low_um: float, high_um: float) -> None:
        """For the colours and the box."""
        self._z_range_um = low_um, high_um
        self._stale = True

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """OpenGL is looked for when it is needed: the start of the window does not wait for it."""
        super().showEvent(event)
        if self.drawing is None:
            self._begin()
        self._stale = True

    def _begin(self) -> None:
        reason = why_no_opengl()
        if reason:
            self._told.setText(
                self.tr("Three projections, as this computer shows no OpenGL: {}").format(reason)
            )
            self._told.show()
            self.drawing = Projections()
        else:
            from ui.space_gl import SpaceGL

            self.drawing = SpaceGL()
            buttons = QHBoxLayout(self._buttons)
            buttons.setContentsMargins(0, 0, 0, 0)
            for name, (azimuth, elevation) in _VIEWS.items():
                button = QPushButton(name)
                button.setToolTip(self.tr("Look along the third axis."))
                button.clicked.connect(
                    lambda _=False, a=azimuth, e=elevation: self.drawing.look_from(a, e)
                )
                buttons.addWidget(button)
            home = QPushButton(self.tr("Home"))
            home.setToolTip(self.tr("Look from the side, at everything."))
            home.clicked.connect(self.drawing.look_home)
            buttons.addWidget(home)
        self._layout.addWidget(self.drawing, 1)

    def _set_frames(self, count: int) -> None:
        self._found = deque(self._found, maxlen=count)
        self._stale = True

    def _draw(self) -> None:
        if not self._stale or not self.isVisible() or self.drawing is None:
            return
        self._stale = False
        if not self._found:
            nothing = np.empty((0, 3))
            self.drawing.draw(nothing, nothing, np.empty((0, 2, 3)), nothing, self._z_range_um)
            return
        newest = self._found[-1].xyz_um
        start_um, end_um, _ = tails(self._found)
        lines = np.stack([start_um, end_um], 1)
        self.drawing.draw(
            newest, self._coloured(newest), lines, self._coloured(end_um), self._z_range_um
        )

    def _coloured(self, xyz_um: Any) -> Any:
        """(n, 3) 0 to 255, of these heights."""
        low_um, high_um = self._z_range_um
        place = np.clip((xyz_um[:, 2] - low_um) / (high_um - low_um), 0, 1)
        return self._colours[(place * 255).astype(int), :3]
