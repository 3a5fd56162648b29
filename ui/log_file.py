"""The log of each start of the app, kept in a file; and what failed without being caught."""

import logging
import os
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from platformdirs import user_log_path

from dsacq.files.atomic import discard

if TYPE_CHECKING:
    from ui.session import Session

_KEPT = 20
_FORMAT = "%(asctime)s %(levelname)-7s %(threadName)s %(name)s: %(message)s"

log = logging.getLogger("window")  # not shown in the window, which told it already


def log_folder() -> Path:
    """Where the files are; it exists."""
    return user_log_path("dsacq", appauthor=False, ensure_exists=True)


def begin_log(folder: Path) -> Path:
    """Write all that is logged from now on into a new file; of the older ones, 19 are kept.

    Raises OSError when the folder cannot be written.
    """
    older = sorted(folder.glob("app-*.log"))
    for one in older[: max(len(older) - _KEPT + 1, 0)]:
        discard(one)  # unless it is that of another window that is open
    path = folder / f"app-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter(_FORMAT))
    handler.setLevel(logging.INFO)
    root = logging.getLogger()
    for other in root.handlers:  # the terminal gets no more than before
        if other.level == logging.NOTSET:
            other.setLevel(root.level)
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    return path


def log_session(session: "Session") -> None:
    """What the session tells goes into the log, and so does what nothing caught, which is told.

    After such an exception, in any thread, nobody knows what state the program is in: lasers go
    dark and the camera stops, as by the STOP button. The window stays.
    """
    session.said.connect(lambda sentence: log.info("%s", sentence))
    session.failed.connect(lambda sentence: log.error("%s", sentence))

    def uncaught(
        kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from ui.session import told

        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error or kind(), trace)
            return
        failure = error if isinstance(error, Exception) else RuntimeError(str(error))
        log.critical("not caught", exc_info=(kind, error or kind(), trace))
        session.stop_all()
        session.failed.emit(told(failure))

    sys.excepthook = uncaught
    threading.excepthook = lambda about: uncaught(
        about.exc_type, about.exc_value, about.exc_traceback
    )
