"""Light from an emitter to camera counts, as differentiable tensors."""
