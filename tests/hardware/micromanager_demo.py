"""A Micro-Manager of simulated devices, Micro-Manager's own, as several tests open it."""

from pathlib import Path
from typing import Any

import pytest

from hardware.micromanager import MicroManager, MicroManagerSettings
from hardware.micromanager_camera import MicroManagerCamera, MicroManagerCameraSettings

pytest.importorskip("mmpycorex")
pytest.importorskip("mm_test_adapters")

CONFIG = """\
Property,Core,Initialize,0
Device,Camera,DemoCamera,DCam
Device,Second,DemoCamera,DCam
Device,Focus,DemoCamera,DStage
Device,Table,DemoCamera,DXYStage
Device,Shutter,DemoCamera,DShutter
Device,Wheel,DemoCamera,DWheel
Property,Core,Initialize,1
Property,Core,Camera,Camera
Property,Core,Focus,Focus
Property,Core,XYStage,Table
Property,Core,Shutter,Shutter
Property,Camera,PixelType,16bit
Property,Camera,OnCameraCCDXSize,256
Property,Camera,OnCameraCCDYSize,128
ConfigGroup,Speed,Fast,Camera,FastImage,1
ConfigGroup,Speed,Fast,Camera,Gain,3
ConfigGroup,Speed,True,Camera,FastImage,0
ConfigGroup,Filter,Red,Wheel,State,2
"""


def write_config(folder: Path, text: str = CONFIG) -> Path:
    path = folder / "demo.cfg"
    path.write_text(text, encoding="utf-8")
    return path


def open_demo(folder: Path, text: str = CONFIG, **settings: Any) -> MicroManager:
    config = write_config(folder, text)
    return MicroManager("mm", MicroManagerSettings(config=config, adapters="demo", **settings))


def open_camera(manager: MicroManager, **settings: Any) -> MicroManagerCamera:
    settings.setdefault("exposure_s", 0.002)
    return MicroManagerCamera("camera", MicroManagerCameraSettings(**settings), manager)
