"""What happened, line by line."""

import html
import logging
import time

from PyQt6.QtCore import QObject, QUrl, pyqtSignal
from PyQt6.QtGui import QDesktopServices
from PyQt6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ui.log_file import log_folder
from ui.session import Session
from ui.theme import AMBER, RED

_LINES = 2000
_LOGGERS = ("dsacq", "hardware", "calibration", "ui")


class LogPanel(QWidget):
    """Lines of the session, and warnings of the packages from whatever thread."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QPlainTextEdit()
        self.text.setObjectName("log_text")
        self.text.setReadOnly(True)
        self.text.setMaximumBlockCount(_LINES)
        self.text.setToolTip(self.tr("What happened; failures in red, warnings in amber."))
        self.copy = QPushButton(self.tr("Copy"))
        self.copy.setObjectName("log_copy")
        self.copy.setToolTip(self.tr("Copy what is selected, or else all lines."))
        self.copy.clicked.connect(self._copy)
        self.files = QPushButton(self.tr("Files"))
        self.files.setObjectName("log_files")
        self.files.setToolTip(self.tr("Open the folder with the log of each start, to send one."))
        self.files.clicked.connect(_open_folder)
        column = QVBoxLayout()
        column.addWidget(self.copy)
        column.addWidget(self.files)
        column.addStretch(1)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.text, 1)
        row.addLayout(column)
        session.said.connect(self.add)
        session.failed.connect(lambda sentence: self.add(sentence, RED))
        self._handler = _Handler()
        self._handler.lines.came.connect(self.add)
        for name in _LOGGERS:
            logging.getLogger(name).addHandler(self._handler)

    def add(self, sentence: str, colour: str = "") -> None:
        """A line, with the time."""
        line = f"{time.strftime('%H:%M:%S')}  {' '.join(sentence.splitlines())}"
        style = "white-space: pre-wrap" + (f"; color: {colour}" if colour else "")
        self.text.appendHtml(f'<span style="{style}">{html.escape(line)}</span>')

    def stop(self) -> None:
        """Warnings come no more."""
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(self._handler)

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        chosen = self.text.textCursor().selection().toPlainText()
        clipboard.setText(chosen or self.text.toPlainText())


class _Lines(QObject):
    came = pyqtSignal(str, str)


class _Handler(logging.Handler):
    """Brings records to the thread of the window."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines = _Lines()

    def emit(self, record: logging.LogRecord) -> None:
        colour = RED if record.levelno >= logging.ERROR else AMBER
        self.lines.came.emit(f"{record.name}: {record.getMessage()}", colour)


def _open_folder() -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_folder())))
