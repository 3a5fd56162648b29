"""Impossible rigs are refused with what is wrong; unusual ones are noted, and work."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from micromanager_demo import CONFIG, write_config
from rig_samples import CAMERA, EXAMPLES, OPTICS, SMALL, write_rig
from serial_emulators import IchromeEmulator

from dsacq.errors import SettingsError
from hardware.protocols import DeviceError
from hardware.rig import Finding, Rig, check_rig, open_rig
from hardware.rig_file import read_rig, simulated_rig
from hardware.rig_plausible import remarks

MANAGER = '[micromanager]\nconfig = "demo.cfg"\nadapters = "demo"\n'
DEMO = OPTICS + MANAGER + '[camera]\nkind = "micromanager"\nexposure_s = 0.02\n'


def asi(name: str, port: str, axis: str) -> str:
    return f'[{name}]\nkind = "asi"\nport = \'{port}\'\naxis = "{axis}"\nlimits_um = [-50, 50]\n'


def stage(name: str, axis: str, device: str = "") -> str:
    which = f'device = "{device}"\n' if device else ""
    return f'[{name}]\nkind = "micromanager"\n{which}axis = "{axis}"\nlimits_um = [-50, 50]\n'


def line(name: str, port: str, line: int | str) -> str:
    return (
        f"[lasers.{name}]\nkind = \"ichrome\"\nport = '{port}'\nline = {line!r}\n"
        "mw_at_full = 100\nlimit_mw = 50\n"
    )


def laser(name: str, power: str, extra: str = "") -> str:
    return (
        f'[lasers.{name}]\nkind = "micromanager"\ndevice = "Camera"\npower_property = "{power}"\n'
        'mw_per_unit = 0.5\non_property = "RotateImages"\non_value = "1"\noff_value = "0"\n'
        f"limit_mw = 50\n{extra}"
    )


def shutter(name: str, device: str = "") -> str:
    which = f'device = "{device}"\n' if device else ""
    return f'[shutters.{name}]\nkind = "micromanager"\n{which}'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            CAMERA + asi("focus", "COM5", "Z") + asi("stage_x", "COM5", "Z"),
            "focus and stage_x are both axis Z at port COM5",
        ),
        (
            CAMERA + asi("stage_x", "com5", "X") + asi("stage_y", "\\\\.\\COM5", "X"),
            "stage_x and stage_y are both axis X at port COM5",
        ),
        (DEMO + stage("stage_x", "x") + stage("stage_y", "x"), "are both axis x of the default"),
        (
            DEMO + stage("stage_x", "y", "Table") + stage("stage_y", "y", "Table"),
            "are both axis y of Table",
        ),
        (
            CAMERA + '[focus]\nkind = "simulated"\n[stage_x]\nkind = "simulated"\n',
            "focus and stage_x are both axis z of the simulated bench",
        ),
        (
            CAMERA + asi("focus", "com4", "Z") + line("a", "COM4", 2),
            "focus and lasers.a are both at port COM4: expected the same kind of device there",
        ),
        (
            CAMERA
            + asi("focus", "/dev/ttyUSB0", "Z")
            + "baud = 115200\n"
            + asi("stage_x", "/dev/ttyUSB0", "X"),
            "focus and stage_x are both at port /dev/ttyUSB0: expected the same baud there",
        ),
        (CAMERA + line("a", "COM4", 2) + line("b", "COM4", 2), "lasers.a and lasers.b are both"),
        (
            CAMERA + line("a", "COM4", "561") + line("b", "com4", "561"),
            "lasers.a and lasers.b are both line 561 at port COM4",
        ),
        (
            DEMO + laser("a", "TestProperty6") + laser("b", "TestProperty6"),
            "lasers.a and lasers.b are both Camera TestProperty6",
        ),
        (DEMO + shutter("a") + shutter("b"), "shutters.a and shutters.b are both the shutter"),
        (DEMO + shutter("a", "S") + shutter("b", "S"), "both the shutter S of Micro-Manager"),
    ],
)
def test_one_thing_named_twice_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        read_rig(write_rig(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        CAMERA + asi("focus", "COM5", "Z") + asi("stage_x", "COM5", "X"),
        CAMERA + asi("focus", "COM5", "Z") + asi("stage_x", "COM6", "Z"),
        CAMERA + asi("focus", "/dev/ttyUSB0", "Z") + asi("stage_x", "/dev/ttyusb0", "Z"),
        DEMO + stage("focus", "z") + stage("stage_x", "x") + stage("stage_y", "y"),
        CAMERA + line("a", "COM4", 2) + line("b", "COM4", 3) + line("c", "COM5", 2),
        DEMO + laser("a", "TestProperty6") + laser("b", "TestProperty5"),
        DEMO + shutter("a", "S") + shutter("b", "T"),
        SMALL,  # whose two simulated lasers are one light
    ],
)
def test_things_that_differ_are_no_doubles(tmp_path: Path, text: str) -> None:
    settings = read_rig(write_rig(tmp_path, text))
    assert len(list(settings.devices())) >= 3
    assert not list(remarks(settings))


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ("Exposure = 50", "Exposure = 50 contradicts camera.exposure_s = 0.02"),
        ("Exposure = 0.02", "Exposure = 0.02 contradicts camera.exposure_s = 0.02"),  # it is in ms
        ('Exposure = "long"', "contradicts camera.exposure_s"),
        ("Binning = 2", "camera.properties.Binning = 2 contradicts camera.binning = 1"),
        ('Binning = "2x2"', "contradicts camera.binning = 1"),
        ('BINNING = "1x2"', "contradicts camera.binning = 1"),
        ('"Region of Interest" = "512 x 512"', "contradicts camera.roi = its default"),
        ("ROI-X = 8", "contradicts camera.roi"),
        ("OffsetX = 64", "contradicts camera.roi"),
    ],
)
def test_properties_that_contradict_the_camera_are_refused(
    tmp_path: Path, properties: str, told: str
) -> None:
    text = DEMO + f"[camera.properties]\nGain = 3\n{properties}\n"
    with pytest.raises(SettingsError, match=rf"rig\.toml: .*{told}.*: expected one of them"):
        read_rig(write_rig(tmp_path, text))


@pytest.mark.parametrize("properties", ["Exposure = 20", 'Exposure = "20.00"', 'Binning = "1x1"'])
def test_properties_that_say_the_same_pass(tmp_path: Path, properties: str) -> None:
    text = DEMO + f"[camera.properties]\nGain = 3\n{properties}\n"
    assert len(read_rig(write_rig(tmp_path, text)).camera.properties) == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("optics.focus_um = 4.5", CAMERA + '[focus]\nkind = "simulated"\nlimits_um = [-2, 2]\n'),
        ("optics.focus_um = 4.5", CAMERA + '[focus]\nkind = "simulated"\nlimits_um = [5, 90]\n'),
        (
            "optics.focus_um = 104.5",
            CAMERA.replace("focus_um = 4.5", "focus_um = 104.5") + asi("focus", "COM5", "Z"),
        ),
        (
            "optics.focus_um = -101",
            DEMO.replace("focus_um = 4.5", "focus_um = -101") + stage("focus", "z"),
        ),
    ],
)
def test_a_focus_out_of_reach_is_refused(tmp_path: Path, key: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"{key}: out of reach of focus.limits_um"):
        read_rig(write_rig(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (CAMERA + "", ""),
        (CAMERA.replace("exposure_s = 0.02", "exposure_s = 30"), "give 0.03"),
        (CAMERA.replace("[2.0, 6.0]", "[0, 250]"), "z_range_um = .* give .0, 0.25"),
        (CAMERA.replace("pixel_um = 11", "pixel_um = 1"), "a pixel of 10 nm"),
        (CAMERA.replace("pixel_um = 11", "pixel_um = 250"), "a pixel of 2.5e.03 nm"),
        (CAMERA.replace("immersion = 1.518", "immersion = 1.2").replace("1.45", "1.1"), "1.2 is"),
        (CAMERA.replace("um = 0.58", "um = 1.55"), "1.55 is not of visible light"),
        (
            CAMERA.replace("focus_um = 4.5", "focus_um = 150")
            + asi("focus", "C", "Z").replace("[-50, 50]", "[-500, 500]"),
            "150 is far from the emitters",
        ),
        (CAMERA + '[lasers.a]\nkind = "simulated"\nlimit_mw = 0.2\n', "give 200"),
        (CAMERA + '[lasers.a]\nkind = "simulated"\nlimit_mw = 50000\n', "is 50 W"),
        (
            CAMERA + '[lasers.a]\nkind = "simulated"\n[use]\nlasers_mw = { a = 0.05 }\n',
            "use.lasers_mw.a = 0.05 is very little; if it was meant in W, give 50",
        ),
        (CAMERA + "[pattern.carrier]\nperiod_px = 3\n", "only 68 % of the light"),
        (CAMERA + "[pattern.carrier]\nperiod_px = 2.1\n", "only 44 % of the light"),
        (CAMERA + "[pattern.carrier]\nperiod_px = 4\n", ""),
        (CAMERA + "[pattern.levels]\nlevels_per_2pi = 16\n", "few SLMs"),
        (
            CAMERA + asi("focus", "C", "Z").replace("[-50, 50]", "[-50000, 50000]"),
            "leave it 100 mm of way",
        ),
        (
            CAMERA + asi("focus", "C", "Z").replace("[-50, 50]", "[50, 150]"),
            "outside focus.limits_um = .50, 150., unless the stage's zero",
        ),
    ],
)
def test_what_is_unusual_is_noted_and_works(tmp_path: Path, text: str, told: str) -> None:
    found = list(remarks(read_rig(write_rig(tmp_path, text))))
    if not told:
        assert not found
        return
    (noted,) = found
    assert re.search(told, noted)
    assert noted[-1] in ".?"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (line("a", "COM4", 2).replace("50", "5e6").replace("100", "5e6"), "meant in uW, give 5000"),
        ('[lasers.a]\nkind = "simulated"\nlimit_mw = nan\n', "limit_mw = nan"),
        (asi("focus", "C", "Z").replace("[-50, 50]", "[-5e7, 5e7]"), "limits_um.* meant in nm"),
        (asi("focus", "C", "Z").replace("[-50, 50]", "[nan, 50]"), "limits_um"),
        (stage("focus", "z").replace("[-50, 50]", "[-inf, 50]"), "limits_um"),
        ('[slm]\nkind = "screen"\nscreen = "S"\npixel_um = 8000\n', "meant in nm, give 8"),
        ('[slm]\nkind = "slmpy"\npixel_um = 0.008\n', "meant in mm, give 8"),
        ("[bench]\nslm_pixel_um = 8e-6\n", "meant in m, give 8"),
        ("[pattern.alignment]\nrotation_rad = 90\n", "if 90 was meant in degrees, give 1.571"),
        ("[pattern.alignment]\nrotation_rad = -45\n", "meant in degrees, give -0.7854"),
        ("[pattern.alignment]\nincidence_rad = 6\n", "meant in degrees, give 0.1047"),
        ("[pattern.alignment]\nscale = 1e9\n", "expected 0.01 to 100"),
        ("[pattern.alignment]\ncentre_px = [nan, 3]\n", "centre_px"),
        ("[pattern.alignment]\ncentre_px = [1e300, 3]\n", "centre_px.*expected -100000 to 100000"),
        ("[pattern.carrier]\nperiod_px = 8\ndirection_rad = 180\n", "degrees, give 3.142"),
        ("[pattern.carrier]\nperiod_px = 2\n", "period_px=2: expected more than 2, at which as"),
        ("[pattern.carrier]\nperiod_px = -5\n", "period_px=-5: expected more than 2"),
        ("[pattern.carrier]\nperiod_px = nan\n", "period_px"),
        ("[pattern.levels]\nwavelength_um = 561\n", "if 561 was meant in nm, give 0.561"),
        ("[psf]\nblur_px = nan\n", "psf.blur_px"),
    ],
)
def test_slipped_units_are_refused_when_the_file_is_read(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(SettingsError, match=rf"rig\.toml: .*{told}"):
        read_rig(write_rig(tmp_path, (CAMERA if "bench" in text else DEMO) + text))


def test_the_exposure_of_a_camera_is_in_seconds(tmp_path: Path) -> None:
    for value, meant in (("30000", "ms, give 30"), ("3e8", "us, give 300"), ("inf", "")):
        text = DEMO.replace("exposure_s = 0.02", f"exposure_s = {value}")
        with pytest.raises(SettingsError, match=rf"exposure_s = .*{meant}"):
            read_rig(write_rig(tmp_path, text))


def checked(tmp_path: Path, text: str) -> dict[str, Finding]:
    return {one.device: one for one in check_rig(read_rig(write_rig(tmp_path, text)))}


def with_pattern(optics: str = "", pattern: str = "") -> str:
    old, _, new = optics.partition("->")
    text = SMALL.replace(old, new) if optics else SMALL
    return text + pattern


@pytest.mark.parametrize(
    ("optics", "pattern", "told"),
    [
        ("focal_4f_um = 150000->focal_4f_um = 400000", "", "takes up 1,450 rows and 1,450 columns"),
        ("magnification = 100->magnification = 60", "", "it cuts the NA to 66 %"),
        ("slm_shape = [600, 640]->slm_shape = [400, 640]", "", "but the SLM has 400 and 640"),
        ("focal_4f_um = 150000->focal_4f_um = 1500", "", "is 5.44 pixels across on the SLM"),
        ("na = 1.45->na = 0.01", "", "too few for a mask"),
        ("", "[pattern.alignment]\nscale = 2\n", "takes up 1,088 rows"),
        ("", "[pattern.alignment]\nincidence_rad = 0.8\n", "544 rows and 781 columns"),
        ("", "[pattern.alignment]\ncentre_px = [-300, 320]\n", "all of it lies beyond the upper"),
        ("", "[pattern.alignment]\ncentre_px = [300, 640]\n", "beyond the right edge"),
    ],
)
def test_a_pupil_that_misses_the_slm_is_refused_by_the_check_and_at_opening(
    tmp_path: Path, optics: str, pattern: str, told: str
) -> None:
    text = with_pattern(optics, pattern)
    found = checked(tmp_path, text)
    assert not found["slm"].works
    assert told in found["slm"].told
    assert all(one.works for one in found.values() if one.device != "slm")
    with pytest.raises(DeviceError, match=f"^slm: .*{told}"):
        Rig(read_rig(write_rig(tmp_path, text)))


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("[pattern.alignment]\ncentre_px = [200.0, 320.0]\n", "13 % of its diameter .* upper"),
        ("[pattern.alignment]\ncentre_px = [299.5, 500.0]\n", "24 % of its diameter .* right"),
        ("[pattern.alignment]\ncentre_px = [299.5, 200.0]\n", "13 % of its diameter .* left"),
        ("[pattern.alignment]\nscale = 1.08\ncentre_px = [340, 320]\n", "lower"),
    ],
)
def test_a_pupil_that_leaves_the_slm_in_part_fails_the_check_and_is_told_when_shown(
    tmp_path: Path, pattern: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = checked(tmp_path, with_pattern(pattern=pattern))
    assert not found["slm"].works
    assert re.search(f"leaves the SLM: .*{told} edge; check centre_px", found["slm"].told)
    from dsacq.physics.masks import flat

    with open_rig(read_rig(write_rig(tmp_path, with_pattern(pattern=pattern)))) as rig:
        rig.show(flat(rig.optics))  # so that it can be aligned
        assert rig.mask is not None
    assert "slm: the pupil's image leaves the SLM" in caplog.text


def test_rows_and_columns_that_are_swapped_are_told(tmp_path: Path) -> None:
    text = (EXAMPLES / "rig-simulated.toml").read_text(encoding="utf-8")
    for centre, fits in (("[966.5, 538.0]", "(538, 966.5)"), ("[1400.0, 500.0]", "(500, 1400)")):
        swapped = text + f"[pattern.alignment]\ncentre_px = {centre}\n"
        told = checked(tmp_path, swapped)["slm"].told
        assert told.endswith(f"is (row, column), and the other way round, {fits}, it fits.")


def test_the_size_of_the_pupil_is_told() -> None:
    found = {one.device: one for one in check_rig(simulated_rig())}
    assert found["slm"].told == "1920 x 1080 pixels of 8 um, the pupil 544 across"
    assert found["slm"].remarks == ()


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ('levels = { lut = "levels.csv" }', "levels.csv: .*degrees"),
        ('levels = { lut = "nowhere.csv" }', "nowhere.csv"),
        ('correction = "grey.npy"', "grey.npy: it holds whole numbers up to 255"),
        ('correction = "degrees.npy"', "degrees.npy: .*degrees"),
        ('correction = "small.npy"', "small.npy: has 600 rows and 600 columns"),
    ],
)
def test_files_of_the_pattern_are_read_by_the_check(
    tmp_path: Path, pattern: str, told: str
) -> None:
    np.savetxt(tmp_path / "levels.csv", np.linspace(0, 400, 256))
    slope = np.indices((600, 640)).sum(0)
    np.save(tmp_path / "grey.npy", slope % 256)
    np.save(tmp_path / "degrees.npy", slope * 1.01)
    np.save(tmp_path / "small.npy", np.zeros((600, 600)))
    found = checked(tmp_path, SMALL + f"[pattern]\n{pattern}\n")
    assert not found["slm"].works
    assert re.search(told, found["slm"].told)


def test_a_doubtful_correction_is_noted(tmp_path: Path) -> None:
    np.save(tmp_path / "waves.npy", np.indices((600, 640)).sum(0) / 40)
    found = checked(tmp_path, SMALL + '[pattern]\ncorrection = "waves.npy"\n')
    assert found["slm"].works
    assert found["slm"].remarks == (
        "pattern.correction: it spreads over 31 rad, 4.9 waves: is it in rad?",
    )


def test_an_exposure_beyond_the_camera_fails_the_check(tmp_path: Path) -> None:
    write_config(tmp_path)
    for value, told in (("20", "outside its limits, 0 to 10"), ("1e-6", "but the camera makes 0")):
        found = checked(tmp_path, DEMO.replace("exposure_s = 0.02", f"exposure_s = {value}"))
        assert not found["camera"].works
        assert told in found["camera"].told


def test_what_the_camera_makes_of_its_settings_is_noted(tmp_path: Path) -> None:
    write_config(tmp_path)
    text = DEMO.replace("exposure_s = 0.02", "exposure_s = 26e-6")
    text += '[camera.properties]\n"OnCameraCCDXSize" = 64\nGain = 3\nCCDTemperature = -20\n'
    found = checked(tmp_path, text)["camera"]
    assert found.works
    (noted,) = found.remarks
    assert noted.startswith("camera.exposure_s = 2.6e-05, of which the camera makes")


def test_a_depth_below_the_offset_of_the_noise_fails_the_check(tmp_path: Path) -> None:
    write_config(tmp_path)
    noise = '[noise]\nkind = "scmos"\noffset_adu = 300\n'
    deep = '[camera.properties]\nPixelType = "16bit"\n'
    assert checked(tmp_path, DEMO + deep + noise)["camera"].works
    found = checked(tmp_path, DEMO + deep.replace("16bit", "8bit") + noise)["camera"]
    assert not found.works
    assert "its pixels hold 255 counts at most, but [noise] has an offset of 300" in found.told


def test_a_missing_adapter_is_told_once(tmp_path: Path) -> None:
    write_config(tmp_path, CONFIG.replace("DemoCamera,DCam", "NoSuch,DCam"))
    found = checked(tmp_path, DEMO + stage("focus", "z") + shutter("lamp") + stage("stage_x", "x"))
    assert not any(one.works for one in found.values())
    assert 'Failed to load device adapter "NoSuch"' in found["lamp"].told
    for name in ("focus", "stage_x", "camera"):
        assert found[name].told == "the same as for lamp."


def test_one_stage_by_its_name_and_by_default_is_refused(tmp_path: Path) -> None:
    write_config(tmp_path)
    for text, told in (
        (DEMO + stage("stage_x", "x") + stage("stage_y", "x", "Table"), "axis x of Table"),
        (DEMO + stage("focus", "z") + stage("stage_x", "x", "Focus"), "Focus of Micro-Manager"),
        (DEMO + shutter("a") + shutter("b", "Shutter"), "the shutter Shutter of Micro-Manager"),
    ):
        failed = [one for one in checked(tmp_path, text).values() if not one.works]
        assert len(failed) == 1
        assert told in failed[0].told
        assert failed[0].told.endswith("name it once.")
        with pytest.raises(DeviceError, match="name it once"):
            Rig(read_rig(write_rig(tmp_path, text)))


@pytest.fixture
def ichrome() -> Iterator[IchromeEmulator]:
    device = IchromeEmulator()
    yield device
    device.unplug()


def test_one_laser_line_by_number_and_by_label_is_refused(
    tmp_path: Path, ichrome: IchromeEmulator
) -> None:
    text = CAMERA + line("a", ichrome.port, 1) + line("b", ichrome.port, "405")
    found = checked(tmp_path, text)
    assert found["a"].works
    assert found["b"].told.endswith("as a is; name it once.")
    with pytest.raises(DeviceError, match="name it once"):
        Rig(read_rig(write_rig(tmp_path, text)))
    assert not ichrome.may_shine(1)
    other = CAMERA + line("a", ichrome.port, 1) + line("b", ichrome.port, "488")
    assert all(one.works for one in checked(tmp_path, other).values())


@pytest.mark.parametrize("name", ["rig-simulated.toml", "rig-demo.toml"])
def test_the_examples_are_possible_and_usual(tmp_path: Path, name: str) -> None:
    for file in EXAMPLES.glob("*demo*"):
        shutil.copy(file, tmp_path)
    shutil.copy(EXAMPLES / name, tmp_path)
    assert not list(remarks(read_rig(tmp_path / name)))
