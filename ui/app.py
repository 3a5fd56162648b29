"""The desktop app."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ui.session import Session
    from ui.window import MainWindow


_NO_DISPLAY = 2  # exit code


def run(rig_file: Path | None) -> int:
    """Open the window on a rig file, or on the simulated bench; returns when it is closed.

    Returns the exit code of the program: 2, with a sentence said, where no window can be opened.
    Raises FileError or SettingsError for the rig file, before Qt starts.
    """
    from hardware.rig_file import read_rig
    from ui.console import say
    from ui.display import why_no_display

    if rig_file is not None:
        read_rig(rig_file)
    if trouble := why_no_display():
        say(f"Error: {trouble}")
        return _NO_DISPLAY

    from PyQt6.QtWidgets import QApplication

    from ui.ends import Application, ending
    from ui.garbage import GarbageCollector
    from ui.log_file import begin_log, log_folder, log_session
    from ui.theme import apply_theme

    application = QApplication.instance() or Application(sys.argv[:1])
    assert isinstance(application, QApplication)
    application.setApplicationName("dsacq")
    application.setOrganizationName("dsacq")
    GarbageCollector(application)
    apply_theme(application)
    window, session = make_window(rig_file)
    try:
        begin_log(log_folder())
    except OSError as error:
        session.said.emit(f"There is no log file: {error}")
    log_session(session)
    with ending(application, window, session):
        window.show()
        application.processEvents()  # the window is there before the rig opens
        window.unfinished.look()
        open_session(session, rig_file, window.live.look_when_ready)
        code: int = application.exec()
        window.close()  # however the loop was ended
    return code


def make_window(rig_file: Path | None, settings: Any = None) -> "tuple[MainWindow, Session]":
    """The window, with its rig not yet opened."""
    from PyQt6.QtCore import QSettings

    from ui.session import Session
    from ui.window import MainWindow

    session = Session()
    session.rig_file = rig_file
    name = "SIMULATED BENCH" if rig_file is None else rig_file.stem
    return MainWindow(session, name, settings or QSettings()), session


def open_session(
    session: "Session", rig_file: Path | None, look: Callable[[], None] = lambda: None
) -> None:
    """Open the rig in the background: its mask on the SLM, then the live view."""
    from hardware.rig_file import read_rig, simulated_rig

    settings = simulated_rig() if rig_file is None else read_rig(rig_file)

    def begin(rig: Any) -> None:
        from dsacq.simulation.settings import chosen_mask

        if rig.slm is not None and settings.use.mask is not None:
            session.show(chosen_mask(settings.use.mask, rig.optics, Path()))
        if rig_file is None:  # real lasers wait for the user
            look()

    def open_screen(name: str, wanted: Any) -> Any:
        from ui.slm_screen import ScreenSLM

        return ScreenSLM(name, wanted)

    session.opened.connect(begin)
    session.open(settings, open_screen)
