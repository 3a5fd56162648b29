"""What frames can look like, and which network is trained on them, in a few numbers."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from PyQt6.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QWidget

from dsacq.errors import SettingsError
from ui.number_box import WholeBox
from ui.panels.controls import number_box, set_quietly, without_wheel

if TYPE_CHECKING:
    from dsacq.training.settings import TrainingSettings

_MOST = 1e7


class PriorsForm(QWidget):
    """The settings of a training that are changed most; the others stay as they are."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        tr = self.tr
        self.network = QComboBox()
        self.network.setObjectName("train_network")
        for name in ("nano", "small", "full"):
            self.network.addItem(name, name)
        self.network.setToolTip(
            tr("nano: live on a CPU. small: more precise. full: the best, for a GPU.")
        )
        self.steps = WholeBox()
        self.steps.setObjectName("train_steps")
        self.steps.setRange(1, 10_000_000)
        self.steps.setSingleStep(1000)
        self.steps.setSuffix(tr(" steps"))
        self.steps.setToolTip(tr("How long to train: at least 10000, better 50000 on a GPU."))
        without_wheel(self.network, self.steps)
        self.density = number_box(
            "train_density",
            (0.001, 100.0),
            3,
            "/µm²",
            tr("Emitters per µm² in the densest frames; most frames get fewer."),
        )
        photons = tr("Photons of an emitter that reach the sensor in a frame: from, to.")
        background = tr("Photons per pixel that are not of emitters: from, to.")
        self.photons = _Range("train_photons", (1.0, _MOST), photons)
        self.background = _Range("train_background", (0.0, _MOST), background)
        first = QHBoxLayout()
        first.addWidget(self.network, 1)
        first.addWidget(self.steps, 2)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.addRow(tr("Network"), first)
        form.addRow(tr("Density"), self.density)
        form.addRow(tr("Photons"), self.photons)
        form.addRow(tr("Background"), self.background)

    def show_settings(self, settings: "TrainingSettings") -> None:
        """Fill the form."""
        from dsacq.simulation.background import Constant
        from dsacq.simulation.brightness import LogUniform
        from dsacq.training.settings import MixtureChoice

        network, priors = settings.network, settings.priors
        mixture = isinstance(network, MixtureChoice)
        self.network.setEnabled(mixture)
        if isinstance(network, MixtureChoice):
            self.network.setCurrentIndex(self.network.findData(network.preset))
        self.steps.setValue(settings.training.steps)
        set_quietly(self.density, priors.density_per_um2)
        photons, background = priors.photons, priors.background
        if isinstance(photons, LogUniform):
            self.photons.show_range((photons.low, photons.high))
        else:
            self.photons.show_text(_described(photons))
        if isinstance(background, Constant):
            level = background.photons
            self.background.show_range(level if isinstance(level, tuple) else (level, level))
        else:
            self.background.show_text(_described(background))

    def changed(self, settings: "TrainingSettings") -> "TrainingSettings":
        """The settings with what the form says. Raises SettingsError."""
        from dsacq.simulation.background import Constant
        from dsacq.simulation.brightness import LogUniform
        from dsacq.training.settings import MixtureChoice

        network, priors = settings.network, settings.priors
        if isinstance(network, MixtureChoice):
            network = replace(network, preset=self.network.currentData())
        priors = replace(priors, density_per_um2=self.density.value())
        if (ends := self.photons.value(self.tr("Photons"))) is not None:
            priors = replace(priors, photons=LogUniform(low=ends[0], high=ends[1]))
        if (ends := self.background.value(self.tr("Background"))) is not None:
            assert isinstance(priors.background, Constant)
            priors = replace(priors, background=replace(priors.background, photons=ends))
        schedule = replace(settings.training, steps=self.steps.value())
        return replace(settings, network=network, priors=priors, training=schedule)


class _Range(QWidget):
    """Two numbers, or a text where two numbers do not say it."""

    def __init__(self, name: str, limits: tuple[float, float], tip: str) -> None:
        super().__init__()
        self.low = number_box(f"{name}_low", limits, 1, "", tip)
        self.high = number_box(f"{name}_high", limits, 1, "", tip)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setToolTip(tip)
        self._to = QLabel(self.tr("to"))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.low, 1)
        row.addWidget(self._to)
        row.addWidget(self.high, 1)
        row.addWidget(self.text, 1)
        self._show(numbers=True)

    def show_range(self, ends: tuple[float, float]) -> None:
        set_quietly(self.low, ends[0])
        set_quietly(self.high, ends[1])
        self._show(numbers=True)

    def show_text(self, text: str) -> None:
        self.text.setText(text)
        self._show(numbers=False)

    def value(self, what: str) -> tuple[float, float] | None:
        """The two numbers, or None where a text stands. Raises SettingsError."""
        if self.low.isHidden():
            return None
        low, high = self.low.value(), self.high.value()
        if low > high:
            raise SettingsError(f"{what}: {low:g} to {high:g} is no range; put the smaller first.")
        return low, high

    def _show(self, *, numbers: bool) -> None:
        for one in (self.low, self._to, self.high):
            one.setVisible(numbers)
        self.text.setVisible(not numbers)


def _described(prior: Any) -> str:
    """Such as: lognormal, median 3000, sigma 0.6."""
    values = {k: v for k, v in asdict(prior).items() if k != "kind"}
    return ", ".join([prior.kind, *(f"{k} {_number(v)}" for k, v in values.items())])


def _number(value: Any) -> str:
    if isinstance(value, tuple | list):
        return " to ".join(f"{one:g}" for one in value)
    return f"{value:g}"
