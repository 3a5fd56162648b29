"""Tiles cover a frame once, and give what the whole frame gives."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dsacq.localize import voxel
from dsacq.localize.tiling import Span, Tile
from dsacq.networks.model_file import Model


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 200), st.integers(0, 50))
def test_tiles_cover_each_pixel_once(rows: int, columns: int, size: int, halo: int) -> None:
    covered = np.zeros((rows, columns), int)
    for tile in Tile.whole((rows, columns)).split(size):
        assert tile.rows.stop - tile.rows.start <= size
        covered[tile.within(Tile.whole((rows, columns)))] += 1
        seen = tile.grown(halo, (rows, columns))
        assert seen.rows.start == max(0, tile.rows.start - halo)
        assert seen.columns.stop == min(columns, tile.columns.stop + halo)
    assert (covered == 1).all()


def test_size_is_checked() -> None:
    with pytest.raises(ValueError, match="size=0"):
        Span(0, 5).split(0)


@pytest.mark.parametrize("shape", [(97, 150), (40, 333)])
def test_tiled_volume_equals_untiled(
    random_model: Model, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(voxel._REFINE_TILE_PX, "cpu", 23)
    network = random_model.network
    frame = torch.rand((1, 1, *shape), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = network(frame)
        assert whole.std() > 0.1 * network.scale  # otherwise equality says little
        worst, seen = 0.0, torch.zeros(whole.shape[2:])
        for volume, rows, columns, (row, column) in voxel.volumes(network, frame, shape, 45):
            kept = volume[:, :, rows, columns]
            top, left = 4 * row + rows.start, 4 * column + columns.start
            place = (slice(top, top + kept.shape[2]), slice(left, left + kept.shape[3]))
            worst = max(worst, float((kept - whole[:, :, *place]).abs().max()))
            seen[place] += 1
    assert (seen == 1).all()
    assert worst < 1e-4 * network.scale


def test_tile_size_does_not_change_what_is_found(random_model: Model) -> None:
    frame = torch.rand((1, 120, 90), generator=torch.Generator().manual_seed(2)) * 1000
    large = voxel.detect(random_model, frame, 150.0, 256)
    small = voxel.detect(random_model, frame, 150.0, 32)
    assert len(large.image) > 20
    order = [torch.from_numpy(np.lexsort(part.xyz_um.numpy().T)) for part in (large, small)]
    assert torch.allclose(large.xyz_um[order[0]], small.xyz_um[order[1]], atol=1e-4)


def test_frames_of_a_batch_do_not_touch_each_other(random_model: Model) -> None:
    frames = torch.rand((3, 40, 50), generator=torch.Generator().manual_seed(3)) * 100
    together = voxel.detect(random_model, frames, 150.0)
    for index in range(3):
        alone = voxel.detect(random_model, frames[index : index + 1], 150.0)
        own = together.xyz_um[together.image == index]
        assert torch.allclose(own, alone.xyz_um, atol=1e-4)


def test_a_constant_frame_is_not_a_number_trap(random_model: Model) -> None:
    found = voxel.detect(random_model, torch.full((1, 40, 40), 7.0), 1e9)
    assert len(found.image) == 0


def test_label_offset_moves_every_position(random_model: Model) -> None:
    frame = torch.rand((1, 50, 50), generator=torch.Generator().manual_seed(4))
    architecture = dataclasses.replace(
        random_model.card.architecture, label_offset_voxels=(2.0, -1.0)
    )
    card = dataclasses.replace(random_model.card, architecture=architecture)
    plain = voxel.detect(random_model, frame, 150.0)
    moved = voxel.detect(Model(card, random_model.mask, random_model.network), frame, 150.0)
    shift = (moved.xyz_um - plain.xyz_um).mean(0).tolist()
    assert shift == pytest.approx([0.055, -0.0275, 0.0], abs=1e-5)
