"""Modules that hold their weights in every way that there is."""

import torch
from torch import nn

from .models import Linear


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x))


class Shared(nn.Module):
    """One layer by two names, buffers and all."""

    def __init__(self):
        super().__init__()
        self.first = nn.BatchNorm1d(3)
        self.second = self.first

    def forward(self, x):
        return self.second(self.first(x))


class Computed(nn.Module):
    """Its constructor computes a buffer that is not saved."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.register_buffer("steps", torch.linspace(0, 1, 3).sin(), persistent=False)

    def forward(self, x):
        return self.linear(x) + self.steps


class SeededBuffer(nn.Module):
    """As `Computed`, with random numbers from a fixed start: those behind the layer before."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(7)
        self.linear = nn.Linear(3, 3)
        self.register_buffer("noise", torch.randn(3), persistent=False)

    def forward(self, x):
        return self.linear(x) + self.noise


class OwnGenerator(nn.Module):
    """Its constructor fills a buffer, which is not saved, from a generator of its own."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        noise = torch.empty(3).normal_(generator=torch.Generator().manual_seed(3))
        self.register_buffer("noise", noise, persistent=False)

    def forward(self, x):
        return self.linear(x) + self.noise


class HeldInList(nn.Module):
    """Uses its weight through a list, where it is not registered a second time."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3, bias=False)
        self.held = [self.linear.weight]

    def forward(self, x):
        return nn.functional.linear(x, self.held[0])


class ViewOfWeight(nn.Module):
    """Holds a view into its weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(6))
        self.half = self.weight.detach()[:3]

    def forward(self, x):
        return x * self.half


class ParametersInContainers(nn.Module):
    def __init__(self):
        super().__init__()
        self.rows = nn.ParameterList([nn.Parameter(torch.rand(3)) for _ in range(2)])
        self.named = nn.ParameterDict({"shift": nn.Parameter(torch.rand(3))})
        self.register_parameter("absent", None)
        self.register_buffer("none", None)
        self.scalar = nn.Parameter(torch.rand(()))
        self.frozen = nn.Parameter(torch.rand(3), requires_grad=False)

    def forward(self, x):
        return x * self.rows[0] + self.rows[1] + self.named["shift"] * self.scalar - self.frozen


class Versioned(nn.Module):
    """Changes what files of its first version hold, as modules do that were rewritten."""

    _version = 2

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(3))

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
        if local_metadata.get("version", 1) < 2:
            state_dict[prefix + "weight"] = state_dict[prefix + "weight"] * 10
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def forward(self, x):
        return x * self.weight


class ExtraState(Linear):
    """Saves something beside its tensors."""

    def get_extra_state(self):
        return {"offset": 3.0}

    def set_extra_state(self, state):
        self.offset = state["offset"]

    def forward(self, x):
        return super().forward(x) + self.offset


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 4, num_layers=2, batch_first=True, bidirectional=True)

    def forward(self, x):
        return self.lstm(x[..., None])[0]


def traced():
    return torch.fx.symbolic_trace(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.BatchNorm1d(3)))


def orthogonal():
    return nn.utils.parametrizations.orthogonal(nn.Linear(3, 3))


def normed():
    return nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))


def spectral():
    return nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3))


def lazy():
    return nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(2))
