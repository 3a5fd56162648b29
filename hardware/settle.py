"""How long an SLM's crystal takes to settle, as a camera sees it."""

import time
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from dsacq.errors import SettingsError
from hardware.pictures import picture
from hardware.protocols import SLM, Camera, DeviceError


@dataclass(frozen=True)
class Response:
    """Part of the change of the image that had happened a time after a pattern was shown."""

    delay_s: float
    part: float


@dataclass(frozen=True)
class SettleTime:
    """part = 1 - exp(-(delay - dead_s)/constant_s), and settle_s when 1 % is missing."""

    dead_s: float
    constant_s: float
    settle_s: float


def measure_settle_time(
    slm: SLM,
    camera: Camera,
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    *,
    longest_s: float = 1.0,
    delays: int = 21,
) -> Generator[Response]:
    """Go from the first pattern to the second again and again, looking after another delay each.

    Give the responses to `fitted_settle_time`. Good patterns are none and a blazed grating on the
    pupil. The SLM must have been opened with settle_s = 0, as delays count from its `show`; the
    camera is used as it is set, with one short exposure per delay. Raises DeviceError.
    """
    _settled(slm, first, longest_s)
    before, before_again = picture(camera), picture(camera)
    _settled(slm, second, longest_s)
    after, after_again = picture(camera), picture(camera)
    # Products of pictures with different noise, which is not taken for a change on average then.
    change = after_again - before_again
    square = float(((after - before) * change).sum())
    noise = float(((after - after_again) ** 2).sum()) / 2
    if square <= 20 * noise / change.size**0.5:
        raise DeviceError(
            camera.name, f"does not see which pattern {slm.name} shows; give it more light."
        )
    # Denser at first, where the crystal moves most.
    for planned_s in longest_s * np.linspace(0, 1, delays) ** 2:
        _settled(slm, first, longest_s)
        slm.show(second)
        begun = time.perf_counter()
        time.sleep(planned_s)
        delay_s = time.perf_counter() - begun + camera.exposure_s / 2
        part = float(((picture(camera) - before) * change).sum()) / square
        yield Response(delay_s, part)


def fitted_settle_time(responses: list[Response]) -> SettleTime:
    """The exponential through the responses. Raises SettingsError when they do not show its end."""
    delay_s = np.array([response.delay_s for response in responses])
    part = np.array([response.part for response in responses])
    longest_s = float(delay_s.max())
    half_s = float(delay_s[np.argmax(part >= 0.5)])
    try:
        (dead_s, constant_s), _ = optimize.curve_fit(
            _exponential,
            delay_s,
            part,
            p0=(half_s / 4, half_s + longest_s / 1000),
            bounds=((0, longest_s / 1e5), (longest_s, 10 * longest_s)),
        )
    except RuntimeError:
        raise SettingsError(
            "The SLM's response is no exponential; check that the light is steady."
        ) from None
    settle_s = float(dead_s + constant_s * np.log(100))
    if settle_s > longest_s:
        raise SettingsError(
            f"The SLM takes about {settle_s:.2g} s to settle, more than the {longest_s:.2g} s it "
            "was watched; watch it for longer."
        )
    return SettleTime(float(dead_s), float(constant_s), settle_s)


def _exponential(
    delay_s: NDArray[np.float64], dead_s: float, constant_s: float
) -> NDArray[np.float64]:
    part: NDArray[np.float64] = -np.expm1(-np.clip(delay_s - dead_s, 0, None) / constant_s)
    return part


def _settled(slm: SLM, pattern: NDArray[np.uint8], longest_s: float) -> None:
    slm.show(pattern)
    time.sleep(longest_s)
