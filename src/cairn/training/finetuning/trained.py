"""The part of a model that training changes: what a checkpoint of an adapter has to keep."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn


class Trained(nn.Module):
    """Parameters with gradients and all buffers of a model, under the model's names.

    A model whose base is frozen is saved without it: 1 % of the bytes for a usual adapter. It is
    put back into a model that was built from the same base.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._whole = [model]  # in a list, so that it is not a child with parameters of its own

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Tensors by name; the model's own, not copies."""
        del args, kwargs
        model = self._whole[0]
        trained = {n for n, p in model.named_parameters(remove_duplicate=False) if p.requires_grad}
        buffers = {name for name, _ in model.named_buffers(remove_duplicate=False)}
        kept = trained | buffers
        return OrderedDict((n, t) for n, t in model.state_dict().items() if n in kept)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Copy into the model."""
        del args, kwargs
        return self._whole[0].load_state_dict(state_dict, strict=False)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """Those with gradients."""
        for name, one in self._whole[0].named_parameters(*args, **kwargs):
            if one.requires_grad:
                yield name, one
