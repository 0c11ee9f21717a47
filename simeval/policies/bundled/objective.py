"""The training objective: SmolVLA's flow-matching loss with several noise samples, plus an auxiliary position loss.

The network's weights are used as in `SmolVLAPolicy`, but in a separate forward pass, because lerobot's recomputes the
prefix (images, words, state) for each noise sample. The prefix does not attend to the actions, so one pass serves
`draws` samples. With one sample the loss equals that of `SmolVLAPolicy.forward`; a test compares them.

The action expert reads only keys and values of the last language layer, so the rest of that layer is skipped.
"""

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy, create_sinusoidal_pos_embedding
from torch import Tensor, nn
from torch.nn import functional

AUXILIARY_SIZE = 6
"""Positions of the object to be moved and of its destination, relative to the hand."""


class Objective(nn.Module):  # type: ignore[misc]
    """The policy with an auxiliary head that exists only during training.

    The head reads the state token after the last full language layer: that token has attended to images and words.
    """

    def __init__(self, policy: SmolVLAPolicy, draws: int) -> None:
        """Args: policy: the network to train. draws: noise samples per observation."""
        super().__init__()
        self.model = policy.model
        self.model.vlm_with_expert.get_vlm_model().vision_model.config._attn_implementation = "eager"
        self.model.requires_grad_()  # lerobot freezes the last language layer, whose keys and values are used
        self.draws = draws
        width = self.model.vlm_with_expert.config.text_config.hidden_size
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 6))

    def forward(
        self, images: Tensor, tokens: Tensor, mask: Tensor, state: Tensor, actions: Tensor, noise: Tensor, time: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Predict.

        Args:
            images: `float32[B, 2, 3, E, E]` in [-1, 1].
            tokens: `int64[B, L]`.
            mask: `bool[B, L]`.
            state: `float32[B, 8]`.
            actions: `float32[B, T, 7]`.
            noise: `float32[K, B, T, 7]`.
            time: `float32[K, B]`.

        Returns:
            Squared errors of the velocities `float32[B, T, 7]`, averaged over the K noise samples, and the positions
            `float32[B, 6]`.
        """
        cache, lengths, state_token = self._prefix(images, tokens, mask, state)
        at = time[:, :, None, None]
        noisy = at * noise + (1 - at) * actions
        velocity = self._velocity(noisy.flatten(0, 1), time.flatten(), cache, mask, lengths).view_as(noise)
        return (velocity - (noise - actions)).square().mean(0), self.head(state_token)

    def _prefix(
        self, images: Tensor, tokens: Tensor, mask: Tensor, state: Tensor
    ) -> tuple[list[tuple[Tensor, Tensor]], Tensor, Tensor]:
        """Keys and values of every language layer, the number of tokens, and the hidden state of the state token."""
        both = self.model.vlm_with_expert
        vision = both.embed_image(images.flatten(0, 1))
        vision = vision.reshape(len(images), -1, vision.shape[-1]) * vision.shape[-1] ** 0.5
        words = both.embed_language_tokens(tokens) * vision.shape[-1] ** 0.5
        x = torch.cat((vision, words, self.model.state_proj(state)[:, None]), 1)
        size = vision.shape[1]
        present = torch.cat((mask.new_ones(len(mask), size), mask, mask.new_ones(len(mask), 1)), 1)
        position = present.cumsum(1) - 1
        # Images and words do not attend to the state, which comes last.
        is_state = torch.zeros(x.shape[1], dtype=torch.bool, device=x.device)
        is_state[-1] = True
        allowed = (present[:, None, :] & present[:, :, None] & (is_state[:, None] | ~is_state))[:, None]
        allowed = allowed | torch.eye(x.shape[1], dtype=torch.bool, device=x.device)  # padding: no row without a key
        layers = both.get_vlm_model().text_model.layers
        cache = []
        for index, layer in enumerate(layers):
            query, key, value = _project(layer, layer.input_layernorm(x), position)
            cache.append((key, value))
            if index < len(layers) - 1:
                x = _finish(layer, _attend(query, key, value, allowed), x)
        return cache, present.sum(1), x[:, -1]

    def _velocity(
        self, noisy: Tensor, time: Tensor, cache: list[tuple[Tensor, Tensor]], mask: Tensor, lengths: Tensor
    ) -> Tensor:
        """The action expert: `float32[K * B, T, 7]`."""
        model, both = self.model, self.model.vlm_with_expert
        draws, size = self.draws, noisy.shape[1]
        x = model.action_in_proj(noisy)
        config = model.config
        embedded = create_sinusoidal_pos_embedding(
            time, both.expert_hidden_size, config.min_period, config.max_period, device=x.device
        ).to(x.dtype)
        x = torch.cat((x, embedded[:, None].expand_as(x)), 2)
        x = model.action_time_mlp_out(functional.silu(model.action_time_mlp_in(x)))
        before = cache[0][0].shape[2]
        image_tokens = before - mask.shape[1] - 1
        prefix_mask = torch.cat((mask.new_ones(len(mask), image_tokens), mask, mask.new_ones(len(mask), 1)), 1)
        prefix_mask = prefix_mask.repeat(draws, 1)[:, None, None].expand(-1, -1, size, -1)
        causal = torch.ones(size, size, dtype=torch.bool, device=x.device).tril()
        both_masks = torch.cat((prefix_mask, causal.expand(len(prefix_mask), 1, -1, -1)), 3)
        steps = torch.arange(size, device=x.device)
        position, action_position = lengths.repeat(draws)[:, None] + steps, steps.expand(len(x), -1)
        every = both.self_attn_every_n_layers
        for index, layer in enumerate(both.lm_expert.layers):
            key, value = (part.repeat(draws, 1, 1, 1) for part in cache[index])
            normed = layer.input_layernorm(x)
            if every > 0 and index % every == 0:
                query, action_key, action_value = _project(layer, normed, position)
                key, value = torch.cat((key, action_key), 2), torch.cat((value, action_value), 2)
                out = _attend(query, key, value, both_masks)
            else:
                attention = layer.self_attn
                query = _rotate(_heads(attention.q_proj(normed), attention.head_dim), action_position)
                flat_key, flat_value = key.transpose(1, 2).flatten(2), value.transpose(1, 2).flatten(2)
                key = _heads(attention.k_proj(flat_key), attention.head_dim)
                value = _heads(attention.v_proj(flat_value), attention.head_dim)
                out = _attend(query, key, value, prefix_mask)
            x = _finish(layer, out, x)
        return model.action_out_proj(both.lm_expert.norm(x).to(model.action_out_proj.weight.dtype))


def _heads(x: Tensor, size: int) -> Tensor:
    return x.unflatten(-1, (-1, size)).transpose(1, 2)


def _project(layer: nn.Module, normed: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value `[B, heads, L, D]`; query and key with position embedding."""
    attention = layer.self_attn
    query, key, value = (
        _heads(f(normed), attention.head_dim) for f in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    return _rotate(query, position), _rotate(key, position), value


def _rotate(x: Tensor, position: Tensor) -> Tensor:
    """Rotary position embedding as SmolVLA's, base 10 000: `x` is `[B, heads, L, D]`."""
    half = x.shape[-1] // 2
    scale = 10_000 ** (torch.arange(half, dtype=torch.float32, device=x.device) / half)
    angle = (position[..., None].float() / scale)[:, None]
    sin, cos = angle.sin().to(x.dtype), angle.cos().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


def _attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
    # Not the fused kernel, because its backward pass in bfloat16 is five times slower on a CPU.
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    weights = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
    weights = weights.masked_fill(~allowed, torch.finfo(weights.dtype).min).softmax(-1)
    return (weights @ value).transpose(1, 2).flatten(2)


def _finish(layer: nn.Module, attended: Tensor, x: Tensor) -> Tensor:
    x = layer.self_attn.o_proj(attended) + x
    return layer.mlp(layer.post_attention_layernorm(x)) + x
