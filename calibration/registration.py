"""How far images lie beside each other, and moving them without interpolation."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FINER = 20  # parts of a pixel


def offset_px(first: Floats, other: Floats) -> Floats:
    """(rows, columns) that the images (K, H, W) of `other` all lie beside those of `first`.

    The peak of the sum of their correlations, and around it on a finer grid by a matrix Fourier
    transform. Source: Guizar-Sicairos et al., Opt. Lett. 33, 156 (2008).
    """
    spectrum = (np.conj(np.fft.fft2(first)) * np.fft.fft2(other)).sum(0)
    correlation = np.fft.ifft2(spectrum).real
    shape = np.array(correlation.shape)
    peak = np.array(np.unravel_index(int(correlation.argmax()), correlation.shape), float)
    peak = np.where(peak > shape / 2, peak - shape, peak)
    fine = np.arange(-1.5, 1.5 + 1e-9, 1 / _FINER)
    rates = [np.fft.fftfreq(size) for size in correlation.shape]
    rows = np.exp(2j * np.pi * np.outer(peak[0] + fine, rates[0]))
    columns = np.exp(2j * np.pi * np.outer(rates[1], peak[1] + fine))
    finer = (rows @ spectrum @ columns).real
    row, column = np.unravel_index(int(finer.argmax()), finer.shape)
    return np.asarray(
        [
            peak[0] + fine[row] + _beside(finer[:, column], int(row)) / _FINER,
            peak[1] + fine[column] + _beside(finer[row], int(column)) / _FINER,
        ]
    )


def shifted(planes: Floats, shift_px: Floats) -> Floats:
    """Images (K, H, W) moved by (rows, columns); what leaves on one side comes in on the other."""
    rows, columns = (np.fft.fftfreq(size) for size in planes.shape[1:])
    turn = np.exp(-2j * np.pi * (rows[:, None] * shift_px[0] + columns * shift_px[1]))
    return np.asarray(np.fft.ifft2(np.fft.fft2(planes) * turn).real)


def likeness(first: Floats, other: Floats, offset: Floats) -> float:
    """Pearson correlation of two images (H, W), the second moved back by an offset."""
    back = shifted(other[None], -offset)[0]
    return float(np.corrcoef(first.ravel(), back.ravel())[0, 1])


def _beside(values: Floats, top: int) -> float:
    """Of a parabola's peak, from the highest of evenly spaced values."""
    if not 0 < top < len(values) - 1:
        return 0.0
    below, here, above = values[top - 1 : top + 2]
    bend = below - 2 * here + above
    return float((below - above) / (2 * bend)) if bend < 0 else 0.0
