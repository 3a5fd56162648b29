"""Where tensors are computed."""

import torch

from dsacq.errors import SettingsError


def chosen_device(name: str) -> torch.device:
    """The device for "auto", "cpu" or "cuda". Raises SettingsError when it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise SettingsError(
            "device cuda: PyTorch finds no usable NVIDIA GPU here; use --device cpu, or install "
            "the driver and a CUDA build of PyTorch."
        )
    return torch.device(name)


def half_pays(device: torch.device) -> bool:
    """Whether convolutions in bfloat16 are faster there than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())
