"""The recording of parts of a network, with a stand-in for the GPU's: the same interface, run again on the CPU."""

import numpy as np
import pytest

from simeval.policies.lerobot_graphs import Graphs, _tensors, fitted

torch = pytest.importorskip("torch")


class Counted:
    """Records by keeping the function; `wrong` adds to what it computes, as another kernel might."""

    def __init__(self, *, wrong: float = 0.0) -> None:
        self.records = self.replays = 0
        self._wrong = wrong

    def __call__(self, run):
        self.records += 1
        output = run()

        def replay() -> None:
            self.replays += 1
            for kept, new in zip(_tensors(output), _tensors(run()), strict=True):
                kept.copy_(new + self._wrong)

        return output, replay


class Layer:
    def __init__(self, keys, values) -> None:
        self.keys, self.values = keys, values


class Cache:
    def __init__(self, *layers) -> None:
        self.layers = list(layers)


class Network:
    """Each step grows its cache and crops it again, as lerobot's do."""

    def __init__(self) -> None:
        self.steps = 0

    def denoise_step(self, past_key_values, x_t, timestep):
        self.steps += 1
        width = past_key_values.layers[0].keys.shape[1]
        total = torch.zeros_like(x_t)
        for layer in past_key_values.layers:
            layer.keys = torch.cat([layer.keys, x_t], dim=1)
            total += (layer.keys * layer.values.sum()).sum(dim=1, keepdim=True)
            layer.keys = layer.keys[:, :width]
        return total * timestep[:, None] + x_t

    def sample(self, seed: int, batch: int = 3):
        generator = torch.Generator().manual_seed(seed)
        layers = [Layer(*torch.randn((2, batch, 4), generator=generator)) for _ in range(2)]
        cache, x_t = Cache(*layers), torch.randn((batch, 2), generator=generator)
        for step in range(4):
            time = torch.full((batch,), 1 - step / 4)
            x_t = x_t - self.denoise_step(past_key_values=cache, x_t=x_t, timestep=time) / 4
        return x_t.numpy()


def test_replays_give_the_steps_own_bits_for_every_prefix(caplog) -> None:
    network, record = Network(), Counted()
    own = [network.sample(seed) for seed in range(6)]
    graph = fitted(network, network.sample, record)
    assert graph is not None
    assert graph.active
    assert record.records == 1
    assert not caplog.text
    replays = record.replays
    for seed, expected in enumerate(own):
        np.testing.assert_array_equal(network.sample(seed), expected)
    assert record.replays == replays + 6 * 4


def test_another_shape_and_a_bypass_run_the_step_itself() -> None:
    network, record = Network(), Counted()
    alone = network.sample(5, 1)
    graph = fitted(network, network.sample, record)
    replays = record.replays
    np.testing.assert_array_equal(network.sample(5, 1), alone)
    with graph.bypassed():
        network.sample(0)
    assert record.replays == replays
    network.sample(0)
    assert record.replays == replays + 4


def test_other_bits_are_not_used_and_a_line_says_so(caplog) -> None:
    network, record = Network(), Counted(wrong=1e-6)
    own = network.sample(0)
    graph = fitted(network, network.sample, record)
    assert record.replays > 0
    assert not graph.active
    assert "without CUDA graphs, which takes longer: they change bits of the chunks" in caplog.text
    np.testing.assert_array_equal(network.sample(0), own)


def test_what_cannot_be_captured_runs_as_before_and_a_line_says_so(caplog) -> None:
    def refuse(run):
        raise RuntimeError("operation not permitted when stream is capturing")

    network = Network()
    own = network.sample(0)
    graph = fitted(network, network.sample, refuse)
    assert not graph.active
    assert "without CUDA graphs, which takes longer: " in caplog.text
    assert "operation not permitted when stream is capturing" in caplog.text
    np.testing.assert_array_equal(network.sample(0), own)


def test_other_values_of_an_argument_are_another_recording() -> None:
    class Scaling:
        def denoise_step(self, x_t, scale):
            return x_t * scale

    network, record = Scaling(), Counted()
    graphs = Graphs(record)
    graphs.install(network, "denoise_step")
    graphs.active = graphs.recording = True
    for scale in (3.0, 2.0, 3.0):
        assert network.denoise_step(x_t=torch.ones(2), scale=scale).tolist() == [scale, scale]
    assert record.records == 2


def test_networks_without_denoising_steps_have_no_graph() -> None:
    assert fitted(object(), lambda seed: np.zeros(1, np.float32)) is None


def test_the_bundled_policy_predicts_the_same_with_recorded_steps() -> None:
    from simeval.policies.registry import PolicyChoice, load_policy

    policy = load_policy(PolicyChoice("bundled", "cpu", None, 1, None))
    inputs = [policy._noisy(seed) for seed in range(3)]
    own, record = policy.act(inputs), Counted()

    def predict(seed):
        return policy._predict([policy._noisy(seed)], "explicit", global_seed=0)

    graph = fitted(policy._parts.model.model, predict, record)
    assert graph is not None
    assert graph.active
    replays = record.replays
    for chunk, expected in zip(policy.act(inputs), own, strict=True):
        np.testing.assert_array_equal(chunk, expected)
    assert record.replays == replays + 3 * (2 + 1 + policy._parts.config.num_steps)  # two images, the prefix, the steps
