"""Whether this computer can draw in 3D."""

from PyQt6.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext

_WITHOUT = ("offscreen", "minimal")


def why_no_opengl() -> str:
    """Why OpenGL cannot be used here; nothing where it can."""
    if QGuiApplication.platformName() in _WITHOUT:
        return "there is no screen."
    try:
        import pyqtgraph.opengl  # noqa: F401 - loads the system's library
    except ImportError:
        return "its library is missing."
    context, surface = QOpenGLContext(), QOffscreenSurface()
    surface.create()
    if not context.create() or not surface.isValid():
        return "no driver was found."
    if not context.makeCurrent(surface):
        return "the driver does not start."
    context.doneCurrent()
    return ""
