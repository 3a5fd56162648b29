"""Images of point emitters behind a phase mask, exactly at the camera's pixels.

The image is a non-uniform Fourier transform of the pupil, two matrix products E = A_y P A_x^T: any
wavelength, focal length, pitch and crop without rounding, padding or interpolation, and only the
mask's samples inside the support enter.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from dsacq.physics.optics import Optics
from dsacq.physics.pupil import PsfModel, Pupil, pupil

# Complex samples that one batch of emitters may hold at once: cache on the CPU, memory on a GPU.
_BATCH = {"cpu": 1 << 18, "cuda": 1 << 26}


def psf(
    phase_rad: Tensor,
    xyz_um: Tensor,
    optics: Optics,
    shape: tuple[int, int],
    model: PsfModel = PsfModel(),  # noqa: B008 - frozen
    *,
    mask_pixel_um: float | None = None,
    transmission: Tensor | None = None,
    focus_um: Tensor | float | None = None,
    blur_px: Tensor | float | None = None,
    values: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Fraction of each emitter's detected photons that falls in each pixel of a crop.

    phase_rad: (rows, columns) of the mask, on the optical axis; its dtype (float32 or float64) and
        device are those of the computation. mask_pixel_um: its pitch, by default the optics'.
    transmission: (rows, columns), of the mask for the field; 1 by default. What it takes is lost.
    xyz_um: (N, 3), x and y from the centre of the crop (pixel centres at (c - (W-1)/2) pixels),
        z above the coverslip. shape: (H, W) of the crop.
    focus_um, blur_px: () or (N,); by default the optics' focus and the model's blur.
    values: tensors () in place of fields of `optics`, by name, to differentiate in them.
    Returns (N, H, W); light outside the crop is lost, an infinite crop would sum to 1.
    Differentiable in phase_rad, transmission, xyz_um, focus_um, blur_px and values.
    """
    images, _ = _images(
        phase_rad,
        xyz_um,
        optics,
        shape,
        model,
        mask_pixel_um=mask_pixel_um,
        transmission=transmission,
        focus_um=focus_um,
        blur_px=blur_px,
        values=values,
        gradient=False,
    )
    return images


def psf_and_gradient(
    phase_rad: Tensor,
    xyz_um: Tensor,
    optics: Optics,
    shape: tuple[int, int],
    model: PsfModel = PsfModel(),  # noqa: B008 - frozen
    *,
    mask_pixel_um: float | None = None,
    focus_um: Tensor | float | None = None,
    blur_px: Tensor | float | None = None,
) -> tuple[Tensor, Tensor]:
    """As `psf`, and the analytic derivatives of the images in the emitter's position.

    Returns (N, H, W) and (N, 3, H, W) per um in x, y, z. Both remain differentiable in phase_rad.
    """
    return _images(
        phase_rad,
        xyz_um,
        optics,
        shape,
        model,
        mask_pixel_um=mask_pixel_um,
        transmission=None,
        focus_um=focus_um,
        blur_px=blur_px,
        values=None,
        gradient=True,
    )


def bead_blur_px(
    system_px: float, radius_um: float, pixel_um: float, *, surface: bool = False
) -> float:
    """Gaussian blur of a bead of finite size: the system's and the bead's own added in squares.

    The standard deviation per axis is radius/sqrt(5) for a filled, radius/sqrt(3) for a
    surface-dyed sphere.
    """
    bead_um = radius_um / (3 if surface else 5) ** 0.5
    return float((system_px**2 + (bead_um / pixel_um) ** 2) ** 0.5)


def _images(
    phase_rad: Tensor,
    xyz_um: Tensor,
    optics: Optics,
    shape: tuple[int, int],
    model: PsfModel,
    *,
    mask_pixel_um: float | None,
    transmission: Tensor | None,
    focus_um: Tensor | float | None,
    blur_px: Tensor | float | None,
    values: Mapping[str, Tensor] | None,
    gradient: bool,
) -> tuple[Tensor, Tensor]:
    dtype, device, count = phase_rad.dtype, phase_rad.device, len(xyz_um)
    if phase_rad.ndim != 2 or not phase_rad.is_floating_point():
        raise ValueError(
            f"phase_rad of shape {tuple(phase_rad.shape)} and {dtype}: expected 2-D and real"
        )
    if xyz_um.ndim != 2 or xyz_um.shape[1] != 3:
        raise ValueError(f"xyz_um of shape {tuple(xyz_um.shape)}: expected (N, 3)")
    values = dict(values or {})
    if focus_um is None:
        focus_um = values.pop("focus_um", optics.focus_um)
    if blur_px is None:
        blur_px = model.blur_px
    focus = torch.as_tensor(focus_um, dtype=dtype, device=device).expand(count)
    blur = torch.as_tensor(blur_px, dtype=dtype, device=device).expand(count)
    light = pupil(
        optics,
        (phase_rad.shape[0], phase_rad.shape[1]),
        optics.mask_pixel_um if mask_pixel_um is None else mask_pixel_um,
        model,
        values=values,
        dtype=dtype,
        device=device,
    )
    mask_field = torch.exp(1j * phase_rad[light.rows, light.columns])
    if transmission is not None:
        mask_field = mask_field * transmission[light.rows, light.columns]
    margin = 0
    if count and float(blur.detach().max()) > 0:
        margin = int(4 * float(blur.detach().max())) + 1
    wide = (shape[0] + 2 * margin, shape[1] + 2 * margin)

    batch = max(1, _BATCH[device.type] // (light.shape[0] * light.shape[1]))
    images, slopes = [], []
    for first in range(0, count, batch):
        part = slice(first, first + batch)
        image, slope = _field_intensity(
            light, mask_field, xyz_um[part].to(dtype), focus[part], wide, model.oversample, gradient
        )
        if margin:
            image = _blurred(image, blur[part], margin)
            slope = _blurred(slope, blur[part, None].expand(slope.shape[:2]), margin)
        images.append(image)
        slopes.append(slope)
    if not images:
        empty = phase_rad.new_zeros((0, *shape))
        return empty, empty[:, None].expand(0, 3, *shape)
    return torch.cat(images), torch.cat(slopes)


def _field_intensity(
    light: Pupil,
    mask_field: Tensor,
    xyz_um: Tensor,
    focus_um: Tensor,
    shape: tuple[int, int],
    oversample: int,
    gradient: bool,
) -> tuple[Tensor, Tensor]:
    """(N, H, W) images and (N, 3, H, W) slopes (or (N, 0, H, W)) without blur."""
    x, y, z = xyz_um.unbind(1)
    kernel_x = _kernel(light.image_x, light.emitter_x, x, shape[1], oversample)  # (N, W m, n)
    kernel_y = _kernel(light.image_y, light.emitter_y, y, shape[0], oversample)
    attenuation = torch.exp(-z[:, None] * light.decay)  # (N, R)
    phase = z[:, None] * light.sample_z - focus_um[:, None] * light.immersion_z
    axial = (
        torch.polar(attenuation, phase)
        if not phase.requires_grad
        else (attenuation * torch.exp(1j * phase))
    )
    carrier = light.on_grid(axial) * mask_field  # (N, m, n)

    power = (light.weight.abs() ** 2).sum(0).flatten()  # (m n,)
    energy = (attenuation**2).index_select(-1, light.distance) @ power  # (N,)
    intensity: Tensor | float = 0.0
    slopes: list[Tensor | float] = [0.0, 0.0, 0.0]
    for weight in light.weight:
        field = carrier * weight
        half = field @ kernel_x.mT
        image = kernel_y @ half  # (N, H m, W m)
        intensity = intensity + _squared(image)
        if not gradient:
            continue
        along_x = kernel_y @ (field @ (kernel_x * (1j * light.emitter_x)).mT)
        along_y = (kernel_y * (1j * light.emitter_y)) @ half
        axial_rate = light.on_grid(torch.complex(-light.decay, light.sample_z))
        along_z = kernel_y @ ((field * axial_rate) @ kernel_x.mT)
        for axis, along in enumerate((along_x, along_y, along_z)):
            slopes[axis] = slopes[axis] + 2 * (image.real * along.real + image.imag * along.imag)

    scale = 1 / (light.pixels**2 * oversample**2 * energy)[:, None, None]
    assert isinstance(intensity, Tensor)
    fraction = _binned(intensity * scale, oversample)
    if not gradient:
        return fraction, fraction[:, None][:, :0]
    d_x, d_y, d_z = (torch.as_tensor(slope) * scale for slope in slopes)
    decaying = (attenuation**2 * light.decay).index_select(-1, light.distance) @ power
    # The emitter's own collected power falls with z where evanescent light contributes.
    d_z = d_z + intensity * scale * (2 * decaying / energy)[:, None, None]
    return fraction, _binned(torch.stack((d_x, d_y, d_z), 1), oversample)


def _kernel(
    image: Tensor, emitter: Tensor, position_um: Tensor, pixels: int, oversample: int
) -> Tensor:
    """(N, pixels * oversample, n): exp(i (k_emitter x0 - k_image c)), c from the crop's centre."""
    samples = torch.arange(pixels * oversample, dtype=image.dtype, device=image.device)
    centre = (samples + 0.5) / oversample - pixels / 2
    grid = torch.exp(-1j * centre[:, None] * image)
    shift = torch.exp(1j * position_um[:, None] * emitter)
    kernel: Tensor = grid * shift[:, None, :]
    return kernel


def _squared(field: Tensor) -> Tensor:
    parts = torch.view_as_real(field)
    return (parts**2).sum(-1)


def _binned(image: Tensor, factor: int) -> Tensor:
    """Sums blocks of factor x factor samples."""
    if factor == 1:
        return image
    height, width = image.shape[-2] // factor, image.shape[-1] // factor
    return image.reshape(*image.shape[:-2], height, factor, width, factor).sum((-3, -1))


def _blurred(images: Tensor, sigma_px: Tensor, margin: int) -> Tensor:
    """(..., H + 2 margin, W + 2 margin) to (..., H, W), each convolved with a unit-sum Gaussian."""
    rows = _gaussian_band(sigma_px, images.shape[-2] - 2 * margin, margin)
    columns = _gaussian_band(sigma_px, images.shape[-1] - 2 * margin, margin)
    return rows @ images @ columns.mT


def _gaussian_band(sigma_px: Tensor, size: int, margin: int) -> Tensor:
    """(..., size, size + 2 margin): row i holds the kernel centred on sample i + margin."""
    offset = torch.arange(-margin, margin + 1, dtype=sigma_px.dtype, device=sigma_px.device)
    width = sigma_px.clamp_min(1e-3)[..., None]
    kernel = torch.exp(-0.5 * (offset / width) ** 2)
    kernel = kernel / kernel.sum(-1, keepdim=True)
    band = kernel.new_zeros((*kernel.shape[:-1], size, size + 2 * margin + 1))
    band[..., : 2 * margin + 1] = kernel[..., None, :]
    # Rows one longer than wide: read back at their width, each row is shifted by one.
    shifted = band.flatten(-2)[..., : size * (size + 2 * margin)]
    return shifted.reshape(*shifted.shape[:-1], size, size + 2 * margin)
