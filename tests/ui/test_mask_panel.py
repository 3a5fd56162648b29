"""The mask panel on a small simulated bench."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from math import radians
from pathlib import Path
from threading import enumerate as threads

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QCheckBox, QDoubleSpinBox, QLabel, QPushButton
from pytestqt.qtbot import QtBot
from rig_samples import SMALL, write_rig
from small_session import PATIENCE_MS

from dsacq.design.settings import FisherDesign
from dsacq.files.mask_library import MASKS
from dsacq.files.masks import write_mask
from dsacq.physics.fisher import crlb
from dsacq.physics.masks import PhaseMask, astigmatism, flat, resampled, tetrapod, vortex
from dsacq.physics.optics import STANDARD_OPTICS
from dsacq.physics.pupil import PsfModel
from dsacq.physics.tetrapod import crop_shape
from hardware.rig import Rig
from hardware.rig_file import PatternSettings, read_rig
from hardware.slm_pattern import Carrier, Panel, PupilAlignment, slm_pattern
from ui.panels.mask import MaskPanel
from ui.panels.mask_alignment import AlignmentBox
from ui.panels.mask_work import Bounds, Images, Pattern, Wanted, made_mask, preview
from ui.session import Activity, Session

SLM_PANEL = Panel((600, 640), 8.0)


@pytest.fixture
def session(qtbot: QtBot) -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


def opened(qtbot: QtBot, session: Session, folder: Path, text: str = SMALL) -> MaskPanel:
    panel = MaskPanel(session)
    qtbot.addWidget(panel)
    session.open(read_rig(write_rig(folder, text)))
    qtbot.waitUntil(lambda: session.activity is Activity.idle, timeout=PATIENCE_MS)
    return panel


def rig_of(session: Session) -> Rig:
    assert session.rig is not None
    return session.rig


def on_slm(session: Session) -> NDArray[np.uint8]:
    slm = rig_of(session).slm
    assert slm is not None
    assert slm.shown is not None
    return slm.shown


def expected(mask: PhaseMask, pattern: PatternSettings | None = None) -> NDArray[np.uint8]:
    """The pattern for the SLM of the bench."""
    pattern = pattern or PatternSettings()
    table = pattern.levels.table(STANDARD_OPTICS.wavelength_um)
    return slm_pattern(
        mask, STANDARD_OPTICS, SLM_PANEL, pattern.alignment, table, carrier=pattern.carrier
    )


def told(panel: MaskPanel, name: str = "mask_on_slm") -> str:
    label = panel.findChild(QLabel, name)
    assert label is not None
    return label.text()


def click(qtbot: QtBot, panel: MaskPanel, name: str) -> None:
    button = panel.findChild(QPushButton, name)
    assert button is not None
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def number(panel: MaskPanel, name: str) -> QDoubleSpinBox:
    box = panel.findChild(QDoubleSpinBox, name)
    assert box is not None
    return box


def wait_for(qtbot: QtBot, panel: MaskPanel, sentence: str) -> None:
    qtbot.waitUntil(lambda: told(panel) == sentence, timeout=PATIENCE_MS)


def show_chosen(qtbot: QtBot, panel: MaskPanel, session: Session) -> None:
    with qtbot.waitSignal(session.mask_shown, timeout=PATIENCE_MS):
        click(qtbot, panel, "mask_show")
    wait_for(qtbot, panel, "on the SLM")


def test_a_design_is_shown_and_what_is_on_the_slm_is_told(
    qtbot: QtBot, session: Session, tmp_path: Path
) -> None:
    panel = opened(qtbot, session, tmp_path)
    names = [panel.library.list.item(i).text() for i in range(panel.library.list.count())]  # type: ignore[union-attr]
    assert names == list(MASKS)
    panel.library.choose("tetrapod")
    assert told(panel, "mask_about") == MASKS["tetrapod"][1]
    wait_for(qtbot, panel, "not on the SLM; there: not known")
    # clicked before the mask is made: it is the chosen one that comes
    panel.library.choose("vortex")
    show_chosen(qtbot, panel, session)
    np.testing.assert_array_equal(on_slm(session), expected(vortex(STANDARD_OPTICS)))
    panel.library.choose("tetrapod")
    wait_for(qtbot, panel, "not on the SLM; there: vortex")
    # by another part of the window
    session.show(tetrapod(STANDARD_OPTICS))
    wait_for(qtbot, panel, "on the SLM")


def test_a_mask_is_designed_for_the_rig(
    qtbot: QtBot, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = partial(FisherDesign, steps=40, starts=2)  # an idle core takes a second
    monkeypatch.setattr("dsacq.design.settings.FisherDesign", quick)
    coarse = SMALL.replace("mask_pixel_um = 24", "mask_pixel_um = 120")
    panel = opened(qtbot, session, tmp_path, coarse)
    click(qtbot, panel, "mask_design")
    qtbot.waitUntil(lambda: "designing" in told(panel, "mask_about"), timeout=PATIENCE_MS)
    last = panel.library.list.count()
    qtbot.waitUntil(lambda: panel.library.list.count() == last + 1, timeout=PATIENCE_MS)
    item = panel.library.list.currentItem()
    assert item is not None
    assert item.text() == "designed 1"
    assert "mean bound" in told(panel, "mask_about")
    qtbot.waitUntil(lambda: panel._mask is not None, timeout=PATIENCE_MS)
    assert panel._mask is not None
    assert panel._mask.phase_rad.std() > 0.3
    # Begun again and stopped, the best so far is kept; closing ends one that goes on.
    click(qtbot, panel, "mask_design")
    qtbot.waitUntil(lambda: "designing" in told(panel, "mask_about"), timeout=PATIENCE_MS)
    click(qtbot, panel, "mask_design")
    qtbot.waitUntil(lambda: panel.library.list.count() == last + 2, timeout=PATIENCE_MS)
    click(qtbot, panel, "mask_design")
    panel.stop()


def test_the_mask_of_the_rig_file_is_chosen(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    write_mask(replace(vortex(STANDARD_OPTICS), name="mine"), tmp_path / "mine.tif")
    text = SMALL.replace("[use]\n", '[use]\nmask = { file = "mine.tif" }\n')
    panel = opened(qtbot, session, tmp_path, text)
    qtbot.waitUntil(lambda: panel.library.list.count() == len(MASKS) + 1, timeout=PATIENCE_MS)
    session.show(vortex(STANDARD_OPTICS))
    wait_for(qtbot, panel, "on the SLM")


def test_blank(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    panel = opened(qtbot, session, tmp_path)
    show_chosen(qtbot, panel, session)
    with qtbot.waitSignal(session.mask_shown, timeout=PATIENCE_MS) as shown:
        click(qtbot, panel, "mask_blank")
    assert shown.args == [None]
    wait_for(qtbot, panel, "not on the SLM; there: blank")
    assert not on_slm(session).any()
    assert rig_of(session).mask is None


def test_sliders_add_zernike_polynomials(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    panel = opened(qtbot, session, tmp_path)
    panel.library.choose("flat")
    number(panel, "mask_noll_6").setValue(1.0)
    show_chosen(qtbot, panel, session)
    mask = rig_of(session).mask
    assert mask is not None
    np.testing.assert_allclose(mask.phase_rad, astigmatism(STANDARD_OPTICS).phase_rad, atol=1e-5)
    assert mask.name == "flat_adjusted"
    click(qtbot, panel, "mask_reset")
    assert set(panel.adjust.added_rad.values()) == {0.0}
    show_chosen(qtbot, panel, session)
    np.testing.assert_array_equal(on_slm(session), expected(flat(STANDARD_OPTICS)))


def test_added_polynomials_have_the_pitch_of_the_mask() -> None:
    fine = resampled(flat(STANDARD_OPTICS), 12.0, (401, 401))
    made = made_mask(wanted(fine, added_rad={6: 1.0}))
    optics = replace(STANDARD_OPTICS, mask_pixel_um=12.0)
    same = astigmatism(optics, shape=(401, 401))
    np.testing.assert_allclose(made.phase_rad, same.phase_rad, atol=1e-5)


def test_files_are_added_and_bad_ones_are_told(
    qtbot: QtBot, session: Session, tmp_path: Path
) -> None:
    panel = opened(qtbot, session, tmp_path)
    mine = replace(vortex(STANDARD_OPTICS, 2), name="mine")
    write_mask(mine, tmp_path / "mine.tif")
    for _ in range(2):  # the second time it is read again, not listed twice
        with qtbot.waitSignal(panel.library.chosen, timeout=PATIENCE_MS):
            panel.library.open_file(tmp_path / "mine.tif")
    assert panel.library.list.count() == len(MASKS) + 1
    show_chosen(qtbot, panel, session)
    np.testing.assert_array_equal(on_slm(session), expected(mine))

    (tmp_path / "bad.tif").write_bytes(b"no picture")
    with qtbot.waitSignal(panel.library.failed, timeout=PATIENCE_MS):
        panel.library.open_file(tmp_path / "bad.tif")
    assert "bad.tif" in told(panel, "mask_told")
    assert panel.library.list.count() == len(MASKS) + 1


def test_live_alignment_moves_the_mask_that_is_shown(
    qtbot: QtBot, session: Session, tmp_path: Path
) -> None:
    panel = opened(qtbot, session, tmp_path)
    panel.library.choose("tetrapod")
    show_chosen(qtbot, panel, session)
    before = on_slm(session)
    number(panel, "mask_column").setValue(300.0)
    wait_for(qtbot, panel, "not on the SLM; there: tetrapod")
    np.testing.assert_array_equal(on_slm(session), before)  # not live yet

    live = panel.findChild(QCheckBox, "mask_live")
    assert live is not None
    live.setChecked(True)
    for degrees in range(0, 31, 2):
        number(panel, "mask_rotation").setValue(degrees)
    number(panel, "mask_period").setValue(8.0)
    wait_for(qtbot, panel, "on the SLM")
    pattern = PatternSettings(
        alignment=PupilAlignment(centre_px=(299.5, 300.0), rotation_rad=radians(30)),
        carrier=Carrier(period_px=8.0),
    )
    assert rig_of(session).settings.pattern == pattern
    np.testing.assert_array_equal(
        on_slm(session), expected(tetrapod(STANDARD_OPTICS), pattern=pattern)
    )


def test_alignment_changes_only_what_is_touched(qtbot: QtBot) -> None:
    box = AlignmentBox()
    qtbot.addWidget(box)
    given = PatternSettings(
        alignment=PupilAlignment(
            centre_px=(12.3456, 7.0), rotation_rad=0.123456, incidence_rad=0.1, scale=1.00012
        )
    )
    box.set_settings(given, (600, 640))
    changes: list[PatternSettings] = []
    box.changed.connect(changes.append)
    box.column.setValue(8.5)
    moved = replace(given.alignment, centre_px=(12.3456, 8.5))
    assert changes == [replace(given, alignment=moved)]
    box.period.stepUp()  # no grating has a period of 1
    assert box.period.value() == 3
    assert changes[-1].carrier == Carrier(period_px=3.0)
    box.period.stepDown()
    assert changes[-1].carrier is None
    box.flip_x.setChecked(True)
    box.undo.click()
    assert changes[-1] == given
    assert not box.flip_x.isChecked()


def test_without_slm_there_are_previews_and_the_reason(
    qtbot: QtBot, session: Session, tmp_path: Path
) -> None:
    panel = MaskPanel(session)
    assert not panel.isEnabled()
    panel = opened(qtbot, session, tmp_path, SMALL.replace('[slm]\nkind = "simulated"\n', ""))
    items: list[object] = []
    panel._previewer.computed.connect(lambda _, item: items.append(item))
    panel.library.choose("tetrapod")
    qtbot.waitUntil(lambda: any(isinstance(one, Bounds) for one in items), timeout=PATIENCE_MS)
    assert not any(isinstance(one, Pattern) for one in items)
    assert panel.isEnabled()
    for name in ("mask_show", "mask_blank"):
        button = panel.findChild(QPushButton, name)
        assert button is not None
        assert not button.isEnabled()
        assert "no SLM" in button.toolTip()
    assert told(panel) == "no SLM"


def test_while_recording_the_mask_stays(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    panel = opened(qtbot, session, tmp_path)
    session.activity_changed.emit(Activity.recording)
    assert not panel.show_button.isEnabled()
    assert "recording" in panel.show_button.toolTip()
    session.activity_changed.emit(Activity.idle)
    assert panel.show_button.isEnabled()


def test_the_newest_of_many_wishes_is_previewed(
    qtbot: QtBot, session: Session, tmp_path: Path
) -> None:
    panel = opened(qtbot, session, tmp_path)
    seen: list[tuple[Wanted, object]] = []
    panel._previewer.computed.connect(lambda *pair: seen.append(pair))
    for step in range(1, 101):
        number(panel, "mask_noll_4").setValue(step / 100)
    qtbot.waitUntil(
        lambda: bool(seen) and isinstance(seen[-1][1], Bounds) and seen[-1][0].added_rad[4] == 1.0,
        timeout=PATIENCE_MS,
    )
    assert len({id(one) for one, _ in seen}) < 5


def test_closing_ends_the_preview(qtbot: QtBot, session: Session, tmp_path: Path) -> None:
    panel = opened(qtbot, session, tmp_path)
    for name in MASKS:
        panel.library.choose(name)
    panel._previewer._compute()
    session.close()
    assert not [one for one in threads() if one.name == "previewing a mask"]
    assert not panel.isEnabled()


def wanted(source: str | PhaseMask, **changed: object) -> Wanted:
    given = Wanted(
        source=source,
        added_rad={},
        optics=STANDARD_OPTICS,
        model=PsfModel(),
        panel=SLM_PANEL,
        pattern=PatternSettings(),
    )
    return replace(given, **changed)  # type: ignore[arg-type]


def test_what_is_computed() -> None:
    mask, images, pattern, bounds = preview(wanted("tetrapod"))
    assert isinstance(mask, PhaseMask)
    assert isinstance(images, Images)
    np.testing.assert_array_equal(images.relative.max((1, 2)), 1)
    # a Tetrapod is wide at both ends of its depths and narrow between
    spread = (images.relative > 0.3).any(1).sum(1) + (images.relative > 0.3).any(2).sum(1)
    assert spread[4] < 0.75 * min(spread[0], spread[-1])
    assert isinstance(pattern, Pattern)
    np.testing.assert_array_equal(pattern.grey, expected(tetrapod(STANDARD_OPTICS)))
    step = pattern.step
    assert pattern.thumbnail[3, 5] == int(
        pattern.grey[3 * step : 4 * step, 5 * step : 6 * step].mean()
    )
    centre = np.array([[299.5], [319.5]])
    np.testing.assert_allclose(
        np.hypot(*(pattern.edge_px - centre)), STANDARD_OPTICS.pupil_diameter_um / 2 / 8.0
    )
    assert isinstance(bounds, Bounds)
    *_, of_flat = preview(wanted("flat"))
    assert isinstance(of_flat, Bounds)
    assert np.median(bounds.sigma_nm[:, 2]) < np.median(of_flat.sigma_nm[:, 2])


def test_bounds_of_a_mask_of_fine_samples() -> None:
    optics = replace(STANDARD_OPTICS, mask_pixel_um=8.0)
    fine = astigmatism(optics)
    *_, found = preview(wanted(fine, panel=None))
    assert isinstance(found, Bounds)
    xyz_um = torch.zeros(len(found.heights_um), 3)
    xyz_um[:, 2] = torch.from_numpy(found.heights_um)
    exact_um = crlb(
        torch.from_numpy(fine.phase_rad),
        xyz_um,
        optics,
        crop_shape(optics),
        photons=3000,
        background=20,
    )
    exact_nm = 1000 * exact_um[:, :3].numpy()
    useful = exact_nm < 100
    assert useful.mean() > 0.5
    np.testing.assert_allclose(found.sigma_nm[useful], exact_nm[useful], rtol=0.05)
