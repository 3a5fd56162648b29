"""The mixture network: what a pixel says depends on its surroundings alone."""

import pytest
import torch

from dsacq.networks.mixture import STRIDE, Mixture, MixtureNetwork, mixture, stabilised


@pytest.fixture(scope="module")
def network() -> MixtureNetwork:
    """Random weights in every layer, so that all of them matter."""
    torch.manual_seed(3)
    made = MixtureNetwork(
        frames=1,
        fine_channels=8,
        fine_blocks=(1, 1),
        coarse_channels=12,
        dilations=(1, 2),
        input_offset=10.0,
        input_scale=4.0,
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return made.eval()


def frames(*shape: int) -> torch.Tensor:
    return 10 + 4 * torch.rand((1, 1, *shape), generator=torch.Generator().manual_seed(1))


def everything(found: Mixture) -> torch.Tensor:
    return torch.cat(
        (found.logit[:, None], found.mean, found.deviation, found.background[:, None]), 1
    )


def test_a_tile_says_what_the_whole_frame_says(network: MixtureNetwork) -> None:
    frame, read = frames(160, 160), torch.full((1, 1, 160, 160), 2.0)
    reach = -(-network.reach_px // STRIDE) * STRIDE
    part = slice(80 - reach, 88 + reach)
    with torch.inference_mode():
        whole = everything(network(frame, read))[..., 80:88, 80:88]
        tile = everything(network(frame[..., part, part], read[..., part, part]))
    assert torch.allclose(tile[..., reach:-reach, reach:-reach], whole, atol=1e-5)


def test_nothing_beyond_the_reach_matters_and_most_within_does(network: MixtureNetwork) -> None:
    frame, read = frames(160, 160), torch.zeros(1, 1, 160, 160)

    def pixel(changed: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return everything(network(changed, read))[0, :, 81, 82]

    before = pixel(frame)
    far = frame.clone()
    far[..., :, : 82 - network.reach_px] += 50
    far[..., 82 + network.reach_px + 1 :] += 50
    assert torch.equal(pixel(far), before)
    near = frame.clone()
    near[..., 81, 82 - network.reach_px // 2] += 50
    assert not torch.allclose(pixel(near), before, atol=1e-5)


@pytest.mark.parametrize("shape", [(32, 32), (33, 46), (5, 7)])
def test_frames_of_any_size(network: MixtureNetwork, shape: tuple[int, int]) -> None:
    with torch.inference_mode():
        found = network(frames(*shape), torch.zeros(1, 1, *shape))
    assert found.logit.shape == found.background.shape == (1, *shape)
    assert found.mean.shape == found.deviation.shape == (1, 4, *shape)


def test_training_and_evaluation_mode_say_the_same(network: MixtureNetwork) -> None:
    frame, read = frames(32, 32), torch.zeros(1, 1, 32, 32)
    with torch.no_grad():
        evaluated = everything(network(frame, read))
        trained = everything(network.train()(frame, read))
    network.eval()
    assert torch.equal(evaluated, trained)


def test_empty_pixels_can_be_as_certain_as_they_are() -> None:
    raw = torch.zeros(1, 10, 128, 128)
    raw[:, 0] = -30
    assert float(mixture(raw).logit.sigmoid().sum()) < 1e-6  # no phantom emitters in a frame


def test_deviations_and_positions_stay_in_their_bounds() -> None:
    found = mixture(1e4 * torch.randn((1, 10, 16, 16), generator=torch.Generator().manual_seed(0)))
    assert float(found.deviation.min()) > 0
    assert float(found.mean[:, :2].abs().max()) < 1.1
    assert bool(torch.isfinite(torch.cat((found.mean, found.deviation))).all())


def test_stabilised_noise_is_one() -> None:
    draw = torch.Generator().manual_seed(0)
    for mean in (5.0, 50.0, 5000.0):
        read = 4.0
        electrons = torch.poisson(torch.full((20000,), mean), generator=draw)
        electrons += read**0.5 * torch.randn(20000, generator=draw)
        assert float(stabilised(electrons, read).std()) == pytest.approx(1, abs=0.05)


def test_half_precision_keeps_positions_exact(network: MixtureNetwork) -> None:
    """The last layer is computed in full precision, so positions are not on a coarse grid."""
    frame, read = frames(64, 64), torch.zeros(1, 1, 64, 64)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = network(frame, read)
    assert found.mean.dtype == torch.float32
    assert len(found.mean[0, 0].flatten().unique()) > 3000
