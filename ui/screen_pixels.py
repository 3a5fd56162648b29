"""The pixels of a screen, though Qt tells its size in points: pixels over scaling, rounded.

Points are not reckoned back into pixels, as several numbers of pixels make the same points; pixels
are reckoned into points, as Qt does it, and compared.
"""

import math
import sys
from collections.abc import Sequence
from typing import Any

from PyQt6.QtCore import QPoint, QRect
from PyQt6.QtGui import QScreen

Sides = tuple[int, int, int, int]  # left, top, right, bottom


def points_of(pixels: int, ratio: float) -> int:
    """How many points a length of so many pixels has under a scaling."""
    return math.floor(pixels / ratio + 0.5)


def possible_pixels(points: int, ratio: float) -> range:
    """Every number of pixels that has so many points; just one without scaling."""
    first = max(math.floor((points - 0.5) * ratio) - 1, 0)
    beyond = math.ceil((points + 0.5) * ratio) + 2
    found = [pixels for pixels in range(first, beyond) if points_of(pixels, ratio) == points]
    return range(found[0], found[-1] + 1)


def covering_points(points: int, pixels: int, ratio: float) -> int:
    """The fewest points, from those given on, of a window that has so many pixels or more."""
    while math.floor(points * ratio + 0.5) < pixels:
        points += 1
    return points


def screen_pixels(screen: QScreen) -> tuple[range, range]:
    """(rows, columns) that the screen may have: one each where the system tells, or does not
    scale it."""
    place, ratio = screen.geometry(), screen.devicePixelRatio()
    rows = possible_pixels(place.height(), ratio)
    columns = possible_pixels(place.width(), ratio)
    told = pixels_at(place.topLeft(), monitors())
    if told is not None and told[0] in rows and told[1] in columns:
        return range(told[0], told[0] + 1), range(told[1], told[1] + 1)
    return rows, columns


def covering(screen: QScreen, shape: tuple[int, int]) -> QRect:
    """Where a window is to be, in points, to have all pixels of a screen of this shape. It may
    reach beyond the right and the lower edge by less than two points."""
    place, ratio = screen.geometry(), screen.devicePixelRatio()
    place.setWidth(covering_points(place.width(), shape[1], ratio))
    place.setHeight(covering_points(place.height(), shape[0], ratio))
    return place


def pixels_at(corner: QPoint, sides: Sequence[Sides]) -> tuple[int, int] | None:
    """(rows, columns) of the only monitor with this upper left corner, which Qt leaves unscaled."""
    found = [one for one in sides if one[:2] == (corner.x(), corner.y())]
    if len(found) != 1:
        return None
    ((left, top, right, bottom),) = found
    return bottom - top, right - left


def monitors() -> list[Sides]:
    """The monitors in pixels, where the system tells them: on Windows."""
    found: list[Sides] = []
    if sys.platform == "win32":
        import ctypes
        from ctypes import wintypes

        enum = ctypes.windll.user32.EnumDisplayMonitors
        rect = ctypes.POINTER(wintypes.RECT)
        handles = (wintypes.HMONITOR, wintypes.HDC)
        kind = ctypes.WINFUNCTYPE(wintypes.BOOL, *handles, rect, wintypes.LPARAM)

        def take(_monitor: object, _context: object, sides: Any, _more: object) -> bool:
            one = sides.contents
            found.append((one.left, one.top, one.right, one.bottom))
            return True

        enum.argtypes, enum.restype = [wintypes.HDC, rect, kind, wintypes.LPARAM], wintypes.BOOL
        enum(None, None, kind(take), 0)
    return found
