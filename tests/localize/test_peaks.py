"""Peaks against the published definition, computed the long way."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dsacq.localize.peaks import find_peaks


def published(volume: Tensor, threshold: float) -> list[tuple[float, ...]]:
    """Maximum filter over 9 x 9 x 9, then the centre of mass of each neighbourhood, in a loop."""
    largest = functional.max_pool3d(volume[:, None], 9, 1, 4)[:, 0]
    peaks = torch.nonzero((volume == largest) & (volume > threshold))
    padded = functional.pad(volume, (4,) * 6)
    reach = torch.arange(-4, 5, dtype=volume.dtype)
    found = []
    for image, z, y, x in peaks.tolist():
        box = padded[image, z : z + 9, y : y + 9, x : x + 9]
        shift = [
            (box.sum(others) @ reach / box.sum()).item() for others in ((1, 2), (0, 2), (0, 1))
        ]
        found.append((image, z + 0.5 + shift[0], y + 0.5 + shift[1], x + 0.5 + shift[2]))
    return sorted(found)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_equal_to_the_published_decoding(threshold: float, channels_last: bool) -> None:
    torch.manual_seed(1)
    volume = torch.rand((2, 17, 40, 31), dtype=torch.float64) ** 4
    if channels_last:
        volume = volume.to(memory_format=torch.channels_last)
    peaks = find_peaks(volume, threshold)
    found = sorted(
        (image, *zyx) for image, zyx in zip(peaks.image.tolist(), peaks.zyx.tolist(), strict=True)
    )
    wanted = published(volume, threshold)
    assert len(wanted) > 10
    assert torch.allclose(torch.tensor(found), torch.tensor(wanted), atol=1e-9)


def test_a_plateau_is_one_peak() -> None:
    volume = torch.zeros((1, 12, 12, 12))
    volume[0, 4:6, 5:7, 3:6] = 800.0
    peaks = find_peaks(volume, 40)
    assert len(peaks.value) == 1
    assert peaks.zyx[0].tolist() == pytest.approx([5.0, 6.0, 4.5], abs=1e-6)


def test_peaks_only_inside_the_given_voxels_but_judged_by_all() -> None:
    volume = torch.zeros((1, 9, 20, 20))
    volume[0, 4, 10, 4], volume[0, 4, 10, 6], volume[0, 4, 10, 15] = 5.0, 9.0, 7.0
    left = find_peaks(volume, 1, rows=slice(0, 20), columns=slice(0, 5))
    right = find_peaks(volume, 1, rows=slice(0, 20), columns=slice(5, 20))
    assert len(left.value) == 0
    assert sorted(right.value.tolist()) == [7.0, 9.0]


def test_an_empty_volume_has_no_peaks() -> None:
    peaks = find_peaks(torch.zeros((1, 5, 8, 8)), 1)
    assert peaks.zyx.shape == (0, 3)
    assert peaks.value.shape == (0,)


def test_a_noiseless_target_is_found_within_half_a_voxel() -> None:
    """A Gaussian blob at a known place, as a perfect network would give it."""
    place = torch.tensor([6.3, 9.8, 11.45])
    grid = torch.stack(torch.meshgrid(*(torch.arange(20) + 0.5,) * 3, indexing="ij"), -1)
    volume = 800 * torch.exp(-((grid - place) ** 2).sum(-1) / 2)
    peaks = find_peaks(volume[None], 40)
    assert (peaks.zyx[0] - place).abs().max() < 0.1
