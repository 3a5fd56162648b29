import pytest
import torch

from dsacq.physics.optics import Optics
from dsacq.physics.zernike import mask_disc, noll, zernike, zernike_modes

FIRST_15 = [noll(index) for index in range(1, 16)]


def test_noll_order() -> None:
    """Table I of Noll (1976): even indices have cosines."""
    assert FIRST_15 == [
        (0, 0),
        (1, 1),
        (1, -1),
        (2, 0),
        (2, -2),
        (2, 2),
        (3, -1),
        (3, 1),
        (3, -3),
        (3, 3),
        (4, 0),
        (4, 2),
        (4, -2),
        (4, 4),
        (4, -4),
    ]
    assert len({noll(index) for index in range(1, 200)}) == 199
    with pytest.raises(ValueError, match="index=0"):
        noll(0)


def test_modes_are_orthonormal_on_the_disc() -> None:
    # Rings of equal area and equal angles: the mean over samples is the mean over the disc.
    radius = ((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000).sqrt()
    azimuth = torch.arange(32, dtype=torch.float64) * (2 * torch.pi / 32)
    radius, azimuth = torch.meshgrid(radius, azimuth, indexing="ij")
    modes = zernike_modes([noll(index) for index in range(1, 37)], radius, azimuth).flatten(1)
    products = modes @ modes.T / modes.shape[1]
    torch.testing.assert_close(products, torch.eye(36, dtype=torch.float64), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("mode", "polynomial"),
    [
        ((2, 0), lambda r, a: 3**0.5 * (2 * r**2 - 1)),
        ((2, 2), lambda r, a: 6**0.5 * r**2 * torch.cos(2 * a)),
        ((3, -1), lambda r, a: 8**0.5 * (3 * r**3 - 2 * r) * torch.sin(a)),
        ((4, 2), lambda r, a: 10**0.5 * (4 * r**4 - 3 * r**2) * torch.cos(2 * a)),
        ((6, 0), lambda r, a: 7**0.5 * (20 * r**6 - 30 * r**4 + 12 * r**2 - 1)),
    ],
)
def test_known_polynomials(mode, polynomial) -> None:  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(1)
    radius = torch.rand(50, generator=generator, dtype=torch.float64)
    azimuth = 7 * torch.rand(50, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(zernike(*mode, radius, azimuth), polynomial(radius, azimuth))


def test_high_orders_stay_within_their_edge() -> None:
    radius = torch.linspace(0, 1, 1001, dtype=torch.float64)
    values = zernike(20, 0, radius, torch.zeros_like(radius)) / 21**0.5
    assert values[-1] == pytest.approx(1, abs=1e-6)
    assert values.abs().max() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("mode", [(2, 1), (1, 2), (3, -4), (2, -3)])
def test_impossible_modes_are_refused(mode: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        zernike(*mode, torch.zeros(1), torch.zeros(1))


def test_mask_samples_on_the_disc(telomere_optics: Optics) -> None:
    radius, azimuth = mask_disc(telomere_optics, (329, 331), telomere_optics.mask_pixel_um)
    assert radius.shape == (329, 331)
    assert radius[164, 165] == 0
    assert radius[164, 166] * 1.33 == pytest.approx(0.0159983, rel=1e-5)  # du
    assert azimuth[164, 166] == 0  # along columns
    assert azimuth[165, 165] == pytest.approx(torch.pi / 2)  # downwards
    even, _ = mask_disc(telomere_optics, (4, 4), telomere_optics.mask_pixel_um)
    assert even[2, 2] == pytest.approx(even[1, 1])
