"""A network's many small kernels as two graphs on a GPU: one for forward, one for backward.

Launched one by one they take longer to ask for than to compute, in the sizes that training needs.
"""

import warnings

import torch
from torch import nn

from dsacq.device import half_pays


def capture(network: nn.Module, *inputs: torch.Tensor) -> None:
    """Replace what `network` does in training by graphs, for inputs of these shapes alone.

    network, inputs: on a CUDA device; no gradient flows to the inputs. Evaluation stays as it was.
    Under autocast as `Training` computes. Weights may be changed in place afterwards, not replaced.
    """
    device = inputs[0].device
    network.train()
    own = tuple(one.contiguous() for one in inputs)  # what the graphs read is copied into these
    # Graphs must not hold casts of weights that autocast would keep from outside of them.
    half = torch.autocast(
        device.type, torch.bfloat16, enabled=half_pays(device), cache_enabled=False
    )
    # Gradients of the graphs are waited for on another stream than they were captured on.
    warnings.filterwarnings("ignore", message="The AccumulateGrad node's stream")
    with half, torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=True):
        torch.cuda.make_graphed_callables(network, own)
