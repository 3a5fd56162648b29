"""Rig files: every mistake is a sentence that names it, and files are found beside them."""

import re
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import tifffile
from rig_samples import CAMERA, EXAMPLES, OPTICS, SMALL, write_rig

from dsacq.data import Roi
from dsacq.errors import FileError, SettingsError, UserError
from dsacq.files.paths import is_there
from dsacq.physics.camera import IdealCamera, ScmosCamera
from hardware.asi import AsiSettings
from hardware.protocols import DeviceError
from hardware.rig import open_rig
from hardware.rig_file import noise_of_region, read_rig, simulated_rig

LASER = '[lasers.561]\nkind = "simulated"\nlimit_mw = 10\n'
MAPS = ("offset", "gain", "variance")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (OPTICS, "camera is missing"),
        (OPTICS + '[camera]\nkind = "simulated"\nexposre_s = 1', "exposre_s is not a known key"),
        (OPTICS + "[camera]\nexposure_s = 1", "camera.kind is missing"),
        (OPTICS + '[camera]\nkind = "andor"', "camera.kind = .andor.*simulated"),
        (OPTICS + '[camera]\nkind = "micromanager"', "expected a table micromanager"),
        (CAMERA + "[cammera]", "cammera is not a known key"),
        (CAMERA + "[pattern.alignment]\nrotation = 1", "pattern.alignment.rotation is not a known"),
        (CAMERA + '[bench.specimen]\nkind = "beads"\nsize = 1', "bench.specimen.*size is not a kn"),
        (CAMERA + "[use.link]\nmemory = 1", "use.link.memory is not a known key"),
        (CAMERA + '[use]\nlasers_mw = { "561" = 3 }', "use.lasers_mw names '561'"),
        (
            CAMERA + LASER + "[use]\nlasers_mw = { 561 = 30 }",
            "use.lasers_mw.561=30: .* limit_mw, 10",
        ),
        (CAMERA + LASER + "[use]\nlasers_mw = { 561 = -3 }", "use.lasers_mw.561 = -3"),
        (
            CAMERA + '[use]\nmask = { design = "tetrapod" }',
            "use.mask is given: expected a table slm",
        ),
        (CAMERA + '[use]\nmask = { design = "tetrapodd" }', "use.mask: design='tetrapodd'"),
        (CAMERA + "[use]\nmask = {}", "use.mask: file, design: expected one"),
        (CAMERA + '[lasers.camera]\nkind = "simulated"', "two devices are named 'camera'"),
        (
            CAMERA + LASER + '[shutters.561]\nkind = "simulated"',
            "two devices are named '561'",
        ),
        (
            CAMERA + '[focus]\nkind = "simulated"\nlimits_um = [5, -5]',
            r"focus.*: limits_um = \[5.0, -5.0\]: expected the lower",
        ),
        (
            CAMERA + '[focus]\nkind = "asi"\nport = "COM5"\nlimits_um = [5, -5]',
            r"focus.*: limits_um = \[5.0, -5.0\]: expected",
        ),
        (CAMERA + '[focus]\nkind = "asi"\nport = "COM5"', "focus.*limits_um is missing"),
        (
            CAMERA + '[lasers.640]\nkind = "ichrome"\nport = "C"\nline = 1\nmw_at_full = 1\n'
            "limit_mw = 2",
            "lasers.640.*limit_mw=2",
        ),
        (
            CAMERA + '[micromanager]\nconfig = "a.cfg"\nattach = true',
            "micromanager: expected either",
        ),
        (
            CAMERA + '[noise]\nkind = "scmos"\ngain_adu_per_electron = 0',
            "gain_adu_per_electron = 0",
        ),
        (CAMERA + '[bench.psf]\nkind = "deepstorm3d"', "psf.kind='deepstorm3d': expected"),
        (CAMERA.replace("na = 1.45", "na = 2"), "optics: na = 2.0: expected less than"),
        (CAMERA + "[camera]", "is not a valid TOML file"),
    ],
)
def test_a_mistake_is_a_sentence_that_names_it(tmp_path: Path, text: str, told: str) -> None:
    path = write_rig(tmp_path, text)
    with pytest.raises(UserError, match=told) as error:
        read_rig(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = CAMERA + "[slmm]\n[use]\nmodle = 3\n"
    with pytest.raises(SettingsError, match=r"slmm.*use\.modle|use\.modle.*slmm"):
        read_rig(write_rig(tmp_path, text))


def test_no_rig_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"mine\.toml: cannot be read"):
        read_rig(tmp_path / "mine.toml")


def noisy(offset: str, gain: str = "2.0") -> str:
    return (
        f'{CAMERA}[noise]\nkind = "scmos"\noffset_adu = {offset}\ngain_adu_per_electron = {gain}\n'
    )


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_maps_of_noise_lie_beside_the_rig_file(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offset = np.arange(6 * 8, dtype=np.uint16).reshape(6, 8)
    (tmp_path / "maps").mkdir()
    target = tmp_path / "maps" / f"offset{suffix}"
    if suffix == ".npy":
        np.save(target, offset)
    else:
        tifffile.imwrite(target, offset)
    path = write_rig(tmp_path, noisy(f'"maps/offset{suffix}"'))
    monkeypatch.chdir(tmp_path.parent)
    noise = read_rig(Path(tmp_path.name) / path.name).noise
    assert isinstance(noise, ScmosCamera)
    assert noise.gain_adu_per_electron == 2.0
    cut = noise_of_region(noise, (6, 8), Roi(2, 1, 5, 3), 1)
    assert isinstance(cut, ScmosCamera)
    assert isinstance(cut.offset_adu, np.ndarray)
    assert np.array_equal(cut.offset_adu, offset[1:4, 2:7])
    assert cut.gain_adu_per_electron == 2.0


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (None, "No such file"),
        (np.ones((2, 4, 4)), "is not a map of numbers, rows and columns"),
        (np.ones((4, 4), complex), "is not a map of numbers"),
        (
            np.diag([1.0, -3.0, 1.0]),
            "1 values are no offset_adu, the first, -3, in row 1, column 1",
        ),
        (np.full((2, 2), np.nan), "4 values are no offset_adu"),
    ],
)
def test_a_map_that_is_none(
    tmp_path: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None, told: str
) -> None:
    if values is not None:
        np.save(tmp_path / "map.npy", values)
    with pytest.raises(FileError, match=rf"map\.npy: .*{told}"):
        read_rig(write_rig(tmp_path, noisy('"map.npy"')))


def test_no_gain_is_zero(tmp_path: Path) -> None:
    np.save(tmp_path / "map.npy", np.zeros((2, 2)))
    with pytest.raises(FileError, match="4 values are no gain_adu_per_electron"):
        read_rig(write_rig(tmp_path, noisy("100", '"map.npy"')))
    assert read_rig(write_rig(tmp_path, noisy('"map.npy"'))).noise is not None


def test_a_map_that_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "map.tif").write_bytes(b"nothing of the kind")
    with pytest.raises(FileError, match=r"map\.tif: is not a TIFF file"):
        read_rig(write_rig(tmp_path, noisy('"map.tif"')))


def test_maps_of_another_sensor_are_refused() -> None:
    noise = ScmosCamera(offset_adu=np.ones((8, 6), np.float32))
    with pytest.raises(SettingsError, match=r"noise\.offset_adu: the map has 8 rows and 6 columns"):
        noise_of_region(noise, (6, 8), Roi(0, 0, 4, 4), 1)
    with pytest.raises(SettingsError, match="binning 1"):
        noise_of_region(noise, (8, 6), Roi(0, 0, 3, 4), 2)


def test_numbers_hold_everywhere() -> None:
    for noise in (ScmosCamera(offset_adu=3.0), IdealCamera()):
        cut = noise_of_region(noise, (6, 8), Roi(0, 0, 2, 2), 2)
        assert asdict(cut) == asdict(noise)


def test_files_are_relative_to_the_rig_file(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").touch()
    text = (
        SMALL.replace("[use]", '[use]\nmodel = "mine.safetensors"\nmask = { file = "m.tif" }')
        + '[micromanager]\nconfig = "scope.cfg"\nadapters = "mm"\n'
        + '[pattern]\ncorrection = "flat.npy"\nlevels = { lut = "levels.csv" }\n'
        + '[bench.true_levels]\nlut = "true.csv"\n'
    )
    settings = read_rig(write_rig(tmp_path, text))
    assert settings.use.model == str(tmp_path / "mine.safetensors")
    assert settings.use.mask is not None
    assert settings.use.mask.file == tmp_path / "m.tif"
    assert settings.micromanager is not None
    assert settings.micromanager.config == tmp_path / "scope.cfg"
    assert settings.micromanager.adapters == tmp_path / "mm"
    assert settings.pattern.correction == tmp_path / "flat.npy"
    assert settings.pattern.levels.lut == tmp_path / "levels.csv"
    assert settings.bench.true_levels.lut == tmp_path / "true.csv"


def test_a_model_may_be_named(tmp_path: Path) -> None:
    text = SMALL.replace("[use]", '[use]\nmodel = "bench-nano"')
    assert read_rig(write_rig(tmp_path, text)).use.model == "bench-nano"


def test_light_is_opened_first_and_the_camera_last(tmp_path: Path) -> None:
    names = [name for name, _ in read_rig(write_rig(tmp_path)).devices()]
    assert names == ["561", "640", "illumination", "slm", "focus", "camera"]


def test_the_simulated_rig_opens() -> None:
    with open_rig(simulated_rig()) as rig:
        assert rig.camera.shape == (256, 256)
        assert rig.slm is not None
        assert not rig.lasers["561"].emitting


def test_the_example_of_the_bench_is_the_bench() -> None:
    assert asdict(read_rig(EXAMPLES / "rig-simulated.toml")) == asdict(simulated_rig())


def test_what_the_example_of_the_bench_offers_is_right(tmp_path: Path) -> None:
    text = (EXAMPLES / "rig-simulated.toml").read_text(encoding="utf-8")
    offered = re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE)
    settings = read_rig(write_rig(tmp_path, offered))
    assert settings.bench.shape_px == (128, 128)
    assert settings.bench.true_alignment.flip_y
    assert settings.bench.faults.drop == (50,)


def test_the_example_of_micromanager(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "rig-micromanager.toml", tmp_path)
    for name in MAPS:
        tifffile.imwrite(tmp_path / f"prime95b-{name}.tif", np.ones((1200, 1200), np.float32))
    settings = read_rig(tmp_path / "rig-micromanager.toml")
    kinds = {name: one.kind for name, one in settings.devices()}
    assert kinds == {
        "561": "ichrome",
        "640": "ichrome",
        "illumination": "micromanager",
        "slm": "holoeye",
        "focus": "asi",
        "stage_x": "micromanager",
        "stage_y": "micromanager",
        "camera": "micromanager",
    }
    assert isinstance(settings.focus, AsiSettings)
    assert settings.micromanager is not None
    assert settings.micromanager.config == tmp_path / "prime95b.cfg"
    assert settings.noise is not None
    noise_of_region(settings.noise, (1200, 1200), Roi(472, 472, 256, 256), 1)


@pytest.mark.parametrize("name", ["n" * 259, "n" * 5000, "n\0n"])
def test_a_name_that_no_file_can_have_is_no_file(tmp_path: Path, name: str) -> None:
    assert not is_there(tmp_path / name)
    assert not is_there(tmp_path / name, Path.is_dir)
    assert is_there(tmp_path, Path.is_dir)
    if "\0" not in name:
        text = SMALL.replace("[use]", f'[use]\nmodel = "{name}"')
        assert read_rig(write_rig(tmp_path, text)).use.model == name


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ('config = "{name}.cfg"\nadapters = "."', "there is no configuration file"),
        ('config = "a.cfg"\nadapters = "{name}"', "the folder of device adapters, does not exist"),
    ],
)
def test_micromanager_s_files_that_cannot_be(tmp_path: Path, keys: str, told: str) -> None:
    pytest.importorskip("mmpycorex")
    text = CAMERA.replace('"simulated"', '"micromanager"')
    text += "[micromanager]\n" + keys.format(name="n" * 259) + "\n"
    with (
        pytest.raises(DeviceError, match=rf"^Micro-Manager: .*{told}"),
        open_rig(read_rig(write_rig(tmp_path, text))),
    ):
        pass
