"""The rig: devices opened in order, safe on every way out, and never replaced by others."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from micromanager_demo import write_config
from rig_samples import CAMERA, SMALL, write_rig
from serial_emulators import AsiEmulator, IchromeEmulator
from torch import Tensor

from dsacq.data import Roi
from dsacq.errors import FileError, SettingsError
from dsacq.physics.camera import ScmosCamera
from dsacq.physics.masks import tetrapod, zernike_mask
from dsacq.physics.optics import STANDARD_OPTICS
from hardware import together
from hardware.protocols import DeviceError
from hardware.rig import Rig, check_rig, open_rig
from hardware.rig_file import RigSettings, read_rig
from hardware.simulated import SimulatedLaser
from hardware.slm_pattern import Carrier, PupilAlignment

MASK = zernike_mask(STANDARD_OPTICS, {(3, 1): 1.0, (2, -2): 0.8, (3, 3): 0.5})
DEMO = '[micromanager]\nconfig = "demo.cfg"\nadapters = "demo"\n'
DEMO_CAMERA = CAMERA.replace('kind = "simulated"', 'kind = "micromanager"') + DEMO


@pytest.fixture
def small(tmp_path: Path) -> RigSettings:
    return read_rig(write_rig(tmp_path))


@pytest.fixture
def ichrome() -> Iterator[IchromeEmulator]:
    """All its lines shine when the program comes."""
    device = IchromeEmulator()
    yield device
    device.unplug()


@pytest.fixture
def asi() -> Iterator[AsiEmulator]:
    device = AsiEmulator()
    yield device
    device.unplug()


def ichrome_laser(name: str, port: str, line: int) -> str:
    return (
        f'[lasers.{name}]\nkind = "ichrome"\nport = "{port}"\nline = {line}\n'
        "mw_at_full = 100\nlimit_mw = 50\n"
    )


def asi_focus(port: str) -> str:
    return f'[focus]\nkind = "asi"\nport = "{port}"\nlimits_um = [-50, 50]\n'


def watched(rig: Rig) -> list[str]:
    """All that is done to the rig's devices from now on, each as "name.method"."""
    done: list[str] = []

    def tell(device: Any, method: str) -> None:
        own: Callable[..., object] = getattr(device, method)

        def telling(*args: object) -> object:
            done.append(f"{device.name}.{method}")
            return own(*args)

        setattr(device, method, telling)

    for device in (*rig.lasers.values(), *rig.shutters.values(), rig.slm, rig.focus, rig.camera):
        for method in ("off", "set_opened", "stop", "show", "close"):
            if hasattr(device, method):
                tell(device, method)
    return done


SAFE_END = [
    "561.off",
    "640.off",
    "illumination.set_opened",
    "camera.stop",
    "focus.stop",
    "slm.show",
    "camera.close",
    "focus.close",
    "slm.close",
    "illumination.close",
    "640.close",
    "561.close",
]


def outermost(done: list[str]) -> list[str]:
    """Without what devices do to themselves when they close. Lights go off side by side."""
    closing = next(i for i, one in enumerate(done) if one.endswith(".close"))
    return (
        sorted(done[:3])
        + done[3:closing]
        + [one for one in done[closing:] if one.endswith(".close")]
    )


@pytest.mark.parametrize("failure", [None, RuntimeError, KeyboardInterrupt, SystemExit])
def test_every_way_out_is_safe(small: RigSettings, failure: type[BaseException] | None) -> None:
    def use() -> None:
        with open_rig(small) as rig:
            opened.append(rig)
            rig.light({"561": 20.0})
            rig.show(tetrapod(rig.optics))
            rig.camera.start()
            assert rig.camera.next_frame(20.0) is not None
            done.append(watched(rig))
            if failure is not None:
                raise failure

    opened: list[Rig] = []
    done: list[list[str]] = []
    if failure is None:
        use()
    else:
        with pytest.raises(failure):
            use()
    assert outermost(done[0]) == SAFE_END
    (rig,) = opened
    assert not rig.camera.running
    assert rig.bench is not None
    assert rig.bench.view.light_mw == 0
    assert rig.bench.view.pattern is not None
    assert not rig.bench.view.pattern.any()
    rig.close()  # once more does no harm
    assert outermost(done[0]) == SAFE_END


def test_what_was_opened_stays_as_it_was_until_used(small: RigSettings) -> None:
    with open_rig(small) as rig:
        assert not any(laser.emitting for laser in rig.lasers.values())
        assert not rig.shutters["illumination"].opened
        assert not rig.camera.running
        assert rig.mask is None
        assert (rig.stage_x, rig.stage_y) == (None, None)


def test_light(small: RigSettings) -> None:
    with open_rig(small) as rig:
        rig.light({"561": 30.0})
        assert rig.lasers["561"].power_mw == 30
        assert rig.lasers["561"].emitting
        assert rig.shutters["illumination"].opened
        rig.dark()
        assert not rig.lasers["561"].emitting
        assert not rig.shutters["illumination"].opened
        with pytest.raises(SettingsError, match="no laser '488'; there is 561, 640"):
            rig.light({"561": 10.0, "488": 1.0})
        assert rig.lasers["561"].power_mw == 30
        with pytest.raises(DeviceError, match="561: power 101 mW"):
            rig.light({"561": 101.0})
        assert not rig.lasers["561"].emitting


def test_a_laser_that_stays_on_keeps_nothing_else_from_ending(
    tmp_path: Path, ichrome: IchromeEmulator
) -> None:
    text = CAMERA + "".join(ichrome_laser(f"line{n}", ichrome.port, n) for n in (1, 2, 4))
    settings = read_rig(write_rig(tmp_path, text))
    told = r"line2: darkness could not be confirmed.*key"
    rig = Rig(settings)
    rig.light({"line1": 10.0, "line2": 10.0, "line4": 10.0})
    assert all(ichrome.may_shine(line) for line in (1, 2, 4))
    rig.camera.start()
    ichrome.stuck |= {"laser2:cw", "laser2:enable"}
    with pytest.raises(DeviceError, match=told):
        rig.close()
    assert [ichrome.may_shine(line) for line in (1, 2, 4)] == [False, True, False]
    assert not rig.camera.running
    with pytest.raises(DeviceError, match="closed"):
        rig.camera.start()


def test_a_laser_that_hangs_keeps_no_other_alight(
    small: RigSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = Event()
    off = SimulatedLaser.off

    def hanging(laser: SimulatedLaser) -> None:
        if laser.name == "561":
            released.wait(60)
        off(laser)

    with open_rig(small) as rig:
        rig.light({"561": 20.0, "640": 20.0})
        monkeypatch.setattr(SimulatedLaser, "off", hanging)
        monkeypatch.setattr(together, "_GIVING_UP_S", 0.3)
        with pytest.raises(DeviceError, match=r"561: has not answered for 0.3 s; switch it off\."):
            rig.dark()
        assert not rig.lasers["640"].emitting
        assert not rig.shutters["illumination"].opened
        released.set()


def test_a_failure_of_the_user_s_work_is_told_before_one_of_closing(
    tmp_path: Path, ichrome: IchromeEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    settings = read_rig(write_rig(tmp_path, CAMERA + ichrome_laser("line2", ichrome.port, 2)))

    def work() -> None:
        with open_rig(settings) as rig:
            rig.light({"line2": 10.0})
            ichrome.stuck |= {"laser2:cw", "laser2:enable"}
            raise RuntimeError("work")

    with pytest.raises(RuntimeError, match="work"):
        work()
    assert "line2: darkness could not be confirmed" in caplog.text


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_closing_goes_on_after_anything(
    small: RigSettings,
    failure: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ctrl+C once more, or a driver's own error, in the midst of it."""

    def broken() -> None:
        raise failure("561")

    def stuck() -> None:
        raise DeviceError("640", "stays on.")

    rig = Rig(small)
    rig.light({"561": 10.0, "640": 10.0})
    monkeypatch.setattr(rig.lasers["561"], "off", broken)
    monkeypatch.setattr(rig.lasers["640"], "off", stuck)
    done = watched(rig)
    with pytest.raises(failure, match="561"):
        rig.close()
    assert outermost(done) == SAFE_END
    assert "640: stays on." in caplog.text
    assert rig.bench is not None
    assert rig.bench.view.light_mw == 0


def test_a_device_that_does_not_open_closes_the_others(
    tmp_path: Path, ichrome: IchromeEmulator
) -> None:
    text = CAMERA + ichrome_laser("line1", ichrome.port, 1) + asi_focus("/dev/ttyNONE9")
    assert ichrome.may_shine(1)
    with pytest.raises(DeviceError, match=r"^focus: .*/dev/ttyNONE9"):
        Rig(read_rig(write_rig(tmp_path, text)))
    assert not ichrome.may_shine(1)
    alone = CAMERA + ichrome_laser("line1", ichrome.port, 1)
    with open_rig(read_rig(write_rig(tmp_path, alone))):
        pass  # its port is free again


def test_another_device_on_the_port(
    tmp_path: Path, ichrome: IchromeEmulator, asi: AsiEmulator
) -> None:
    text = CAMERA + ichrome_laser("line1", asi.port, 1)
    with pytest.raises(DeviceError, match=r"^line1: "):
        Rig(read_rig(write_rig(tmp_path, text)))
    text = CAMERA + ichrome_laser("line1", ichrome.port, 1) + asi_focus(asi.port)
    with open_rig(read_rig(write_rig(tmp_path, text))) as rig:
        assert rig.focus is not None
        rig.focus.move_to(3.0)
        assert asi.position_um(ord("Z")) == pytest.approx(3.0)


def test_micromanager_s_devices_with_others(
    tmp_path: Path, ichrome: IchromeEmulator, asi: AsiEmulator
) -> None:
    write_config(tmp_path)
    text = (
        DEMO_CAMERA
        + ichrome_laser("line4", ichrome.port, 4)
        + asi_focus(asi.port)
        + '[shutters.lamp]\nkind = "micromanager"\n'
    )
    settings = read_rig(write_rig(tmp_path, text))
    with open_rig(settings) as rig:
        rig.light({"line4": 20.0})
        assert ichrome.may_shine(4)
        assert rig.shutters["lamp"].opened
        rig.camera.start(3)
        assert [rig.camera.next_frame(20.0) is not None for _ in range(3)] == [True] * 3
        assert rig.bench is None
        assert rig.noise() is None
    assert not ichrome.may_shine(4)
    with open_rig(settings):
        pass  # Micro-Manager was closed


def test_micromanager_is_closed_when_its_first_device_does_not_open(tmp_path: Path) -> None:
    write_config(tmp_path)
    wrong = DEMO_CAMERA.replace('kind = "micromanager"', 'kind = "micromanager"\ndevice = "Cam"')
    with pytest.raises(
        DeviceError, match=r"camera: 'Cam' is not a camera.*there is Camera, Second"
    ):
        Rig(read_rig(write_rig(tmp_path, wrong)))
    with open_rig(read_rig(write_rig(tmp_path, DEMO_CAMERA))) as rig:
        assert rig.camera.shape == (128, 256)


def test_no_real_device_becomes_a_simulated_one(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"^Micro-Manager: there is no configuration file .*demo"):
        Rig(read_rig(write_rig(tmp_path, DEMO_CAMERA)))
    screen = CAMERA + '[slm]\nkind = "screen"\nscreen = "PLUTO"\n'
    with pytest.raises(DeviceError, match=r"^slm: is a screen"):
        Rig(read_rig(write_rig(tmp_path, screen)))


def test_a_check_tells_of_each_device_and_goes_on(
    tmp_path: Path, ichrome: IchromeEmulator, asi: AsiEmulator
) -> None:
    write_config(tmp_path)
    text = (
        DEMO_CAMERA
        + ichrome_laser("line1", ichrome.port, 1)
        + ichrome_laser("line3", ichrome.port, 3)
        + asi_focus("/dev/ttyNONE9")
        + '[stage_x]\nkind = "micromanager"\naxis = "x"\nlimits_um = [-5, 5]\n'
        + '[slm]\nkind = "slmpy"\nport = 1\ntimeout_s = 0.5\n'
        + '[shutters.lamp]\nkind = "micromanager"\n'
    )
    settings = read_rig(write_rig(tmp_path, text))
    found = {one.device: one for one in check_rig(settings)}
    assert {name: one.works for name, one in found.items()} == {
        "line1": True,
        "line3": False,
        "lamp": True,
        "slm": False,
        "focus": False,
        "stage_x": True,
        "camera": True,
    }
    assert found["line1"].told == "dark, up to 50 mW"
    assert "1 (405), 2 (488), 4 (640)" in found["line3"].told
    assert found["lamp"].told == "closed"
    assert found["slm"].told.startswith("slm: cannot connect")
    assert "/dev/ttyNONE9" in found["focus"].told
    assert found["stage_x"].told == "at 0.00 um, limits -5 to 5 um"
    assert found["camera"].told.startswith("256 x 128 pixels, exposure 20 ms")
    assert not ichrome.may_shine(1)
    assert not any(b"M " in command for command in asi.commands)
    with open_rig(read_rig(write_rig(tmp_path, DEMO_CAMERA))):
        pass  # the check has closed Micro-Manager


def test_a_check_that_is_ended_early_closes_micromanager(tmp_path: Path) -> None:
    write_config(tmp_path)
    text = DEMO_CAMERA + '[shutters.lamp]\nkind = "micromanager"\n'
    checking = check_rig(read_rig(write_rig(tmp_path, text)))
    assert next(checking).works
    checking.close()
    with open_rig(read_rig(write_rig(tmp_path, DEMO_CAMERA))):
        pass


def image(rig: Rig) -> Tensor:
    """Expected photons (H, W) of the beads, of an exposure of 0.1 s."""
    assert rig.bench is not None
    assert rig.focus is not None
    rig.focus.move_to(0.0)
    rig.light({"561": 50.0})
    exposure = rig.bench.expose(0.1, 0.1)
    return exposure.photons - exposure.background


def shown(settings: RigSettings) -> Tensor:
    with open_rig(settings) as rig:
        rig.show(MASK)
        assert rig.mask is MASK
        return image(rig)


def difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def test_a_mask_is_shown_where_the_pupil_s_image_lies(small: RigSettings) -> None:
    lies = PupilAlignment(
        centre_px=(305.4, 312.2), rotation_rad=0.3, flip_x=True, scale=1.02, incidence_rad=0.1
    )
    bench = replace(small.bench, true_alignment=lies)
    wanted = shown(small)
    known = replace(small, bench=bench, pattern=replace(small.pattern, alignment=lies))
    assert difference(shown(known), wanted) < 0.03
    assert difference(shown(replace(small, bench=bench)), wanted) > 0.2


def test_the_slm_s_own_error_is_corrected(small: RigSettings, tmp_path: Path) -> None:
    bench = replace(small.bench, aberration_rad={5: 1.0})
    own = replace(STANDARD_OPTICS, mask_pixel_um=small.bench.slm_pixel_um)
    wrong = zernike_mask(own, {(2, -2): 1.0}, shape=small.bench.slm_shape)
    path = tmp_path / "correction.npy"
    np.save(path, -wrong.phase_rad)
    wanted = shown(small)
    known = replace(small, bench=bench, pattern=replace(small.pattern, correction=path))
    assert difference(shown(known), wanted) < 0.03
    assert difference(shown(replace(small, bench=bench)), wanted) > 0.2


def test_a_correction_of_another_slm_is_refused(small: RigSettings, tmp_path: Path) -> None:
    path = tmp_path / "correction.npy"
    np.save(path, np.zeros((600, 600)))
    with open_rig(replace(small, pattern=replace(small.pattern, correction=path))) as rig:
        with pytest.raises(FileError, match=r"correction\.npy: has 600 rows and 600 columns"):
            rig.show(MASK)
        assert rig.mask is None


def test_a_carrier_is_on_the_pattern(small: RigSettings) -> None:
    with open_rig(small) as rig:
        rig.show(MASK)
        assert rig.slm is not None
        plain = rig.slm.shown
    with open_rig(
        replace(small, pattern=replace(small.pattern, carrier=Carrier(period_px=8)))
    ) as rig:
        rig.show(MASK)
        assert rig.slm is not None
        blazed = rig.slm.shown
    assert plain is not None
    assert blazed is not None
    assert (blazed[300, 100:500] != plain[300, 100:500]).mean() > 0.8


def test_a_rig_without_slm_shows_no_mask(tmp_path: Path) -> None:
    rig = Rig(read_rig(write_rig(tmp_path, CAMERA)))
    with pytest.raises(SettingsError, match="no SLM"):
        rig.show(MASK)
    rig.close()


def test_noise_of_the_region(tmp_path: Path) -> None:
    variance = np.random.default_rng(1).uniform(1, 9, (48, 64)).astype(np.float32)
    np.save(tmp_path / "variance.npy", variance)
    noise = '[noise]\nkind = "scmos"\nread_variance_adu2 = "variance.npy"\n'
    with open_rig(read_rig(write_rig(tmp_path, SMALL + noise))) as rig:
        rig.camera.set_roi(Roi(10, 4, 20, 30))
        got = rig.noise()
        assert isinstance(got, ScmosCamera)
        assert np.array_equal(got.read_variance_adu2, variance[4:34, 10:30])
        rig.camera.set_binning(2)
        with pytest.raises(SettingsError, match="binning 1"):
            rig.noise()


def test_the_bench_tells_its_noise(small: RigSettings) -> None:
    with open_rig(small) as rig:
        assert rig.noise() is not None
