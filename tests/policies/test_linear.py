"""Linear layers by oneDNN: the same function, for the layers and types that it is for."""

import pytest
import torch

from envs import numerics
from simeval.policies.linear import by_onednn


class Doubled(torch.nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.fixture
def portable(monkeypatch):
    monkeypatch.delenv(numerics.VARIABLE, raising=False)
    if numerics.level() != numerics.LEVEL:
        pytest.skip(f"for {numerics.LEVEL}")


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(24, 40), Doubled(40, 40), torch.nn.Linear(40, 7, bias=False))


@pytest.mark.parametrize("shape", [(24,), (1, 24), (3, 24), (2, 5, 24)])
def test_the_network_computes_the_same_function(portable, shape):
    plain, ours, x = network(), network(), torch.randn(shape)
    assert by_onednn(ours, "cpu")
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), plain(x), rtol=1e-5, atol=1e-6)


def test_layers_that_compute_something_else_are_left_alone(portable):
    ours = network()
    by_onednn(ours, "cpu")
    assert ["forward" in vars(layer) for layer in ours] == [True, False, True]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_types_are_computed_as_before(portable, dtype):
    plain, ours, x = network().to(dtype), network().to(dtype), torch.randn(3, 24, dtype=dtype)
    by_onednn(ours, "cpu")
    with torch.inference_mode():
        assert torch.equal(ours(x), plain(x))


def test_autocast_chooses_the_type_of_a_product(portable):
    plain, ours, x = network(), network(), torch.randn(3, 24)
    by_onednn(ours, "cpu")
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert ours(x).dtype is torch.bfloat16
        assert torch.equal(ours(x), plain(x))


def test_native_numerics_and_other_devices_keep_torchs_choice(monkeypatch):
    monkeypatch.setenv(numerics.VARIABLE, "native")
    ours = network()
    assert not by_onednn(ours, "cpu")
    monkeypatch.delenv(numerics.VARIABLE)
    assert not by_onednn(ours, "cuda")
    assert not any("forward" in vars(layer) for layer in ours)
