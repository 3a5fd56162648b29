"""A bar of a round length in the lower left corner of an image."""

import math

import pyqtgraph as pg

_LONGEST_SHARE = 0.25  # of the width of the view


def round_length(longest: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not longer; longest > 0."""
    power = 10.0 ** math.floor(math.log10(longest))
    return power * max(step for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9))


class ScaleBar(pg.ScaleBar):  # type: ignore[misc]
    """Fits its length to the zoom; hidden without an image, or the size of its pixels."""

    def __init__(self) -> None:
        super().__init__(1, width=4, offset=(20, -16))
        self._pixel_um: float | None = None
        self._of_image = False
        self.text.fill = pg.mkBrush(0, 0, 0, 110)
        self.text.setColor("#ffffff")
        self.bar.setBrush(pg.mkBrush("#ffffff"))
        self.hide()

    def set_pixel_um(self, pixel_um: float) -> None:
        self._pixel_um = pixel_um
        self._show()

    def begin(self) -> None:
        """There is an image from now on."""
        self._of_image = True
        self._show()

    def _show(self) -> None:
        self.setVisible(self._of_image and self._pixel_um is not None)
        self.updateBar()

    def updateBar(self) -> None:  # noqa: N802
        """Called by the view whenever its range changes."""
        view = self.parentItem()
        if view is None or self._pixel_um is None:
            return
        left, right = view.viewRange()[0]
        self.size = round_length((right - left) * self._pixel_um * _LONGEST_SHARE)
        length = self.size / self._pixel_um * view.width() / (right - left)
        self.bar.setRect(0, 0, length, self._width)
        self.text.setText(f"{self.size:g} µm" if self.size >= 1 else f"{self.size * 1e3:g} nm")
        self.text.setPos(length / 2, 0)
