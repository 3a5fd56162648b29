"""The phase mask: choose it, adjust it, see what it does, show it on the SLM."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QTabWidget, QVBoxLayout, QWidget

from dsacq.errors import SettingsError, UserError
from ui.panels.mask_adjust import AdjustBox
from ui.panels.mask_alignment import AlignmentBox
from ui.panels.mask_library import MaskLibrary
from ui.panels.mask_previewer import Previewer
from ui.panels.mask_previews import MaskPreviews
from ui.panels.mask_work import Bounds, Images, Pattern, Wanted
from ui.session import Activity, Session, told

if TYPE_CHECKING:
    from dsacq.physics.masks import PhaseMask
    from hardware.rig import Rig
    from hardware.rig_file import PatternSettings
    from hardware.slm_pattern import PupilAlignment

_SOON_MS = 150
_PAGES_PX = 222  # high; the previews stay in sight below


class MaskPanel(QWidget):
    """Masks, their previews, and the SLM."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._mask: PhaseMask | None = None  # the newest that is wanted, once it is made
        self._grey: Any = None  # its pattern
        self._show_when_made = False

        self.library = MaskLibrary()
        self.library.chosen.connect(lambda source: self._want(0, source=source))
        self.library.failed.connect(self._on_failure)
        self.adjust = AdjustBox()
        self.adjust.changed.connect(self._on_adjusted)
        self.alignment = AlignmentBox()
        self.alignment.changed.connect(self._on_aligned)
        self.alignment.kept.connect(self._keep_alignment)
        self.show_button = QPushButton(self.tr("Show on SLM"))
        self.show_button.setObjectName("mask_show")
        self.show_button.clicked.connect(self.show_mask)
        self.blank_button = QPushButton(self.tr("Blank SLM"))
        self.blank_button.setObjectName("mask_blank")
        self.blank_button.clicked.connect(self.blank)
        self.told = QLabel()
        self.told.setObjectName("mask_told")
        self.told.setWordWrap(True)
        self.told.hide()
        self.previews = MaskPreviews()
        self._lay_out()

        self._previewer = Previewer(self)
        self._previewer.computed.connect(self._on_computed)
        self._previewer.failed.connect(self._on_failure)
        session.opened.connect(self._on_opened)
        session.activity_changed.connect(self._on_activity)
        session.device_changed.connect(self._mark)
        if session.rig is not None:
            self._on_opened(session.rig)
        self._on_activity(session.activity)

    def show_mask(self) -> None:
        """Show the chosen mask on the SLM, placed as the numbers say."""
        if self._mask is None:
            self._show_when_made = True
        else:
            self._show_now(self._mask)

    def blank(self) -> None:
        """A pattern of zeros on the SLM."""
        self._show_when_made = False
        self._session.blank()

    def take_alignment(self, alignment: "PupilAlignment") -> None:
        """Use one that was measured from now on, and keep it in the rig file."""
        self.alignment.set_alignment(alignment)
        self._session.command(self._realign)

    def stop(self) -> None:
        """End what is being computed; waits for it."""
        self._previewer.stop()
        self.library.stop()

    def _on_opened(self, rig: "Rig") -> None:
        from hardware.slm_pattern import Panel

        settings, slm = rig.settings, rig.slm
        panel = None if slm is None else Panel(slm.shape, slm.pixel_um)
        if panel is not None:
            self.alignment.set_settings(settings.pattern, panel.shape)
        self.previews.show_pattern(None)
        first = Wanted(
            source="flat",
            added_rad=self.adjust.added_rad,
            optics=rig.optics,
            model=settings.psf,
            panel=panel,
            pattern=settings.pattern,
        )
        self._previewer.want(first, 0)
        self.library.fill(rig.optics, settings.psf)
        used = settings.use.mask
        self.library.choose("flat" if used is None or used.design is None else used.design)
        if used is not None and used.file is not None:
            self.library.open_file(used.file)
        self._mark()

    def _on_activity(self, activity: Activity) -> None:
        if activity is Activity.closed:
            self.stop()
        rig = self._session.rig
        why = ""
        if rig is None:
            why = self.tr("No rig is open.")
        elif rig.slm is None:
            why = self.tr("The rig has no SLM; give its file a table [slm].")
        elif activity.exclusive:
            why = self.tr("While {}, the mask stays as it is.").format(activity.value)
        self.setEnabled(rig is not None)
        for widget, tip in (
            (self.show_button, self.tr("Put the chosen mask on the SLM.")),
            (self.blank_button, self.tr("No mask: a pattern of zeros on the SLM.")),
            (self.alignment, self.tr("Where the image of the pupil lies on the SLM.")),
        ):
            widget.setEnabled(not why)
            widget.setToolTip(why or tip)

    def _on_adjusted(self, added_rad: dict[int, float]) -> None:
        mark = " *" if any(added_rad.values()) else ""
        self._pages.setTabText(1, self.tr("Adjust") + mark)
        self._want(_SOON_MS, added_rad=added_rad)

    def _on_aligned(self, pattern: "PatternSettings") -> None:
        self._want(_SOON_MS, pattern=pattern)
        if self.alignment.live.isChecked():
            self._session.command(self._realign)

    def _keep_alignment(self, pattern: "PatternSettings") -> None:
        from hardware.rig_file_edit import write_alignment

        path = self._session.rig_file
        if path is None:
            self._on_failure(SettingsError("The simulated bench has no rig file to keep this in."))
            return
        try:
            write_alignment(path, pattern.alignment, pattern.carrier)
        except UserError as error:
            self._on_failure(error)
        else:
            self.alignment.set_kept(pattern)
            self._session.said.emit(self.tr("The alignment is kept in {}.").format(path.name))

    def _want(self, within_ms: int, **changed: Any) -> None:
        if (newest := self._previewer.newest) is None:
            return
        self._grey = None
        if "pattern" not in changed:
            self._mask = None
        self._previewer.want(replace(newest, **changed), within_ms)

    def _on_computed(self, wanted: Wanted, item: Any) -> None:
        newest = wanted is self._previewer.newest
        match item:
            case Images():
                self.previews.show_images(item, wanted.optics.pixel_um)
            case Pattern():
                self.previews.show_pattern(item)
                if newest:
                    self._grey = item.grey
                    self._mark()
            case Bounds():
                self.previews.show_bounds(item)
            case mask:
                self.previews.show_phase(mask, wanted.optics)
                self._tell("")
                if newest:
                    self._mask = mask
                    if self._show_when_made:
                        self._show_now(mask)

    def _show_now(self, mask: "PhaseMask") -> None:
        self._show_when_made = False
        self._session.command(self._take_up_pattern)
        self._session.show(mask)

    def _realign(self, rig: "Rig") -> None:
        """In the thread of commands: the mask that is shown, placed by the newest numbers. Of many
        changes in a row the first takes up all, the rest find nothing to do."""
        if self._take_up_pattern(rig) and rig.mask is not None:
            rig.show(rig.mask)

    def _take_up_pattern(self, rig: "Rig") -> bool:
        newest = self._previewer.newest
        if newest is None or rig.settings.pattern == newest.pattern:
            return False
        rig.settings = replace(rig.settings, pattern=newest.pattern)
        return True

    def _mark(self) -> None:
        """What is on the SLM by its driver, whoever put it there."""
        rig = self._session.rig
        if rig is None or rig.slm is None:
            self.previews.mark(self.tr("no SLM"), good=False)
            return
        shown = rig.slm.shown
        if self._grey is not None and shown is not None and np.array_equal(shown, self._grey):
            self.previews.mark(self.tr("on the SLM"), good=True)
            return
        there = self.tr("not known") if shown is None else self.tr("another pattern")
        if shown is not None and not shown.any():
            there = self.tr("blank")
        elif shown is not None and rig.mask is not None:
            there = rig.mask.name
        self.previews.mark(self.tr("not on the SLM; there: {}").format(there), good=False)

    def _on_failure(self, error: Exception) -> None:
        self._show_when_made = False
        self._tell(told(error))

    def _tell(self, sentence: str) -> None:
        self.told.setText(sentence)
        self.told.setVisible(bool(sentence))

    def _lay_out(self) -> None:
        self._pages = QTabWidget()
        self._pages.setObjectName("mask_pages")
        self._pages.addTab(self.library, self.tr("Masks"))
        self._pages.addTab(self.adjust, self.tr("Adjust"))
        self._pages.addTab(self.alignment, self.tr("Alignment"))
        self._pages.setFixedHeight(_PAGES_PX)
        buttons = QHBoxLayout()
        buttons.addWidget(self.show_button)
        buttons.addWidget(self.blank_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self._pages)
        layout.addLayout(buttons)
        layout.addWidget(self.told)
        layout.addWidget(self.previews)
        layout.addStretch(1)
