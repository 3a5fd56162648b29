"""Spin boxes for what of the found is taken, and drawn."""

from PyQt6.QtCore import QCoreApplication

from ui.number_box import NumberBox


def threshold() -> NumberBox:
    """For the threshold on the network's output."""
    return _spin(
        "live_threshold",
        (0.02, 1000.0, 0.05),
        "Least probability (or output) of what is found; higher: fewer, surer.",
    )


def height(which: str) -> NumberBox:
    """For an end of the range of heights, um. which: "low" or "high"."""
    return _spin(
        f"live_z_{which}",
        (-100.0, 100.0, 0.1),
        "Over the image, only emitters between these heights are drawn. Recordings, plots and the "
        "regenerated frame have all of them.",
    )


def _spin(name: str, limits: tuple[float, float, float], tip: str) -> NumberBox:
    """limits: least, most and step."""
    spin = NumberBox()
    spin.setObjectName(name)
    spin.setRange(*limits[:2])
    spin.setSingleStep(limits[2])
    spin.setToolTip(QCoreApplication.translate("LivePanel", tip))
    return spin
