"""The running plots of a live run."""

from ui.panels.curves import Plot
from ui.theme import AMBER, BLUE, GREEN

_BAND = "#4a90d950"

PLOTS = {
    "count": Plot("Emitters per frame", (("", BLUE),), "How many were found in each frame."),
    "photons": Plot("Photons, median", (("", GREEN),), "Of the emitters of each frame."),
    "z": Plot(
        "z, µm",
        (("", _BAND), ("median, 5-95 %", BLUE), ("", _BAND)),
        "Height of the emitters of each frame: the middle one, and where nine of ten are.",
        _BAND,
    ),
    "sigma": Plot(
        "Precision, nm",
        (("x", BLUE), ("y", GREEN), ("z", AMBER)),
        "Standard deviation that the model states, the median of each frame.",
    ),
    "latency": Plot(
        "Latency, ms", (("", AMBER),), "From the arrival of a frame to its localizations."
    ),
    "rate": Plot(
        "Frames per second",
        (("localized", GREEN), ("skipped", AMBER)),
        "A recording keeps the frames that localization skips.",
    ),
    "correlation": Plot(
        "Correlation", (("", BLUE),), "Of the regenerated frame with the data, once a second."
    ),
}
