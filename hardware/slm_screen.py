"""Settings of an SLM that the computer sees as a screen. `ui.slm_screen` drives it: it needs Qt."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from dsacq.physics.optics import Pitch

_Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ScreenSLMSettings:
    """Which screen the SLM is, and its pixels.

    screen: its name, as the system's display settings show it. serial: its serial number, where
    several screens have that name. shape: (rows, columns). settle_s: what the crystal needs after
    a pattern was drawn, two refreshes of the screen included.
    """

    kind: Literal["screen"]
    screen: Annotated[str, Field(min_length=1)]
    serial: str = ""
    shape: tuple[_Count, _Count] = (1080, 1920)
    pixel_um: Pitch = 8.0
    settle_s: Annotated[float, Field(ge=0, le=10)] = 0.15
