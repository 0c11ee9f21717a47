"""The training loop: resumable, on two CPU cores or on a GPU.

The optimised weights are float32. Forward and backward passes use a bfloat16 copy, which more than doubles the speed of
matrix products on a CPU that supports the format. The running average of the float32 weights is exported.
"""

import copy
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, load_model
from torch import Tensor, nn

from simeval.policies.bundled.architecture import build, save
from simeval.policies.bundled.dataset import Batch, Recordings, Stats
from simeval.policies.bundled.objective import Objective


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of the training.

    Attributes:
        steps: total optimiser steps; the learning rate decays to zero over the last quarter.
        batch: observations per step.
        draws: noise samples per observation.
        rate: learning rate.
        eyes: weight of the position head's loss.
        average: decay of the running average of the weights.
        refresh: steps between checks for new recordings.
        keep: steps between checkpoints.
    """

    steps: int = 20_000
    batch: int = 64
    draws: int = 3
    rate: float = 1e-3
    eyes: float = 0.5
    average: float = 0.998
    refresh: int = 200
    keep: int = 200


class Trainer:
    """A training run in a folder: `state.pt` to resume from, `log.jsonl`, and `export/`, the present policy."""

    def __init__(
        self, folder: Path, data: Path, settings: Settings, *, start_from: Path | None = None, rescale: bool = False
    ) -> None:
        """Start a run, or resume from the folder's last checkpoint.

        Args:
            folder: folder of this run.
            data: folder of the recorded episodes.
            settings: hyperparameters; they may differ from those at the start.
            start_from: checkpoint that gives a new run its weights and scaling; by default they are random.
            rescale: use only its weights, and the scaling of the recordings. For tasks with other motions: a motion of
                ten standard deviations in the checkpoint's scaling would dominate the loss.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.settings = folder, settings
        self._recordings = Recordings(data)
        self._recordings.refresh()
        self.stats = self._load_stats(None if rescale else start_from)
        self._policy = build(folder / "export" / "vlm")
        if start_from is not None:
            load_model(self._policy, start_from / "model.safetensors")
        self._master = Objective(self._policy, settings.draws)
        self.average = copy.deepcopy(self._master)
        self._work = copy.deepcopy(self._master).to(torch.bfloat16)
        self._optimisers = _optimisers(self._master, settings.rate)
        self.step = 0
        self._tokens: tuple[Tensor, Tensor] | None = None
        self._resume()

    def run(self, *, seconds: float = float("inf"), stop_at: int | None = None) -> None:
        """Train until the last step, until `stop_at`, or until the time is up; then save the state."""
        settings, begun = self.settings, time.monotonic()
        last = settings.steps if stop_at is None else stop_at
        losses: list[tuple[float, float]] = []
        while self.step < last and time.monotonic() - begun < seconds:
            if self.step % settings.refresh == 0:
                self._recordings.refresh()
                self._tokens = None
            rng = np.random.default_rng((self.step, 77))
            torch.manual_seed(self.step)
            batch = self._recordings.sample(settings.batch, self.stats, self._tokenised(), rng)
            losses.append(self._update(batch))
            self.step += 1
            if self.step % 50 == 0:
                self._log(losses, time.monotonic() - begun)
                losses = []
            if self.step % settings.keep == 0:
                self._keep()
        self._keep()

    def _update(self, batch: Batch) -> tuple[float, float]:
        settings = self.settings
        scale = self._schedule()
        for optimiser, rate in zip(self._optimisers, _rates(settings.rate), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * scale
        noise = torch.randn(settings.draws, *batch.actions.shape)
        # SmolVLA's distribution of times: Beta(1.5, 1), scaled away from zero.
        at = torch.distributions.Beta(1.5, 1.0).sample((settings.draws, len(batch.state))) * 0.999 + 0.001
        low = torch.bfloat16
        errors, places = self._work(
            batch.images.to(low), batch.tokens, batch.token_mask, *(x.to(low) for x in (batch.state, batch.actions)),
            noise.to(low), at.to(low),
        )  # fmt: skip
        weight = batch.valid[..., None]
        action_loss = (errors.float() * weight).sum() / (weight.sum() * errors.shape[-1])
        place_loss = (places.float() - batch.positions).square().mean()
        (action_loss + settings.eyes * place_loss).backward()
        self._apply()
        return float(action_loss.detach()), float(place_loss.detach())

    def _apply(self) -> None:
        """Update the float32 weights by the bfloat16 gradients, and copy them to the bfloat16 weights."""
        master, work = list(self._master.parameters()), list(self._work.parameters())
        for target, source in zip(master, work, strict=True):
            target.grad = None if source.grad is None else source.grad.float()
            source.grad = None
        nn.utils.clip_grad_norm_([p for p in master if p.grad is not None], 1.0)
        for optimiser in self._optimisers:
            optimiser.step()
        with torch.no_grad():
            decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(list(self.average.parameters()), master, 1 - decay)
            torch._foreach_copy_(work, master)

    def _schedule(self) -> float:
        done = self.step / self.settings.steps
        return min(1.0, (self.step + 1) / 200, max(0.0, (1 - done) / 0.25))

    def _tokenised(self) -> tuple[Tensor, Tensor]:
        if self._tokens is None:
            tokenizer = self._master.model.vlm_with_expert.processor.tokenizer
            tokenizer.padding_side = "right"
            # With the newline that SmolVLA's preprocessor appends.
            texts = [f"{text}\n" for text in self._recordings.instructions]
            coded = tokenizer(texts, padding="longest", return_tensors="pt")
            self._tokens = coded["input_ids"], coded["attention_mask"].bool()
        return self._tokens

    def _load_stats(self, start_from: Path | None) -> Stats:
        file = self.folder / "stats.json"
        if not file.exists():
            initial = stats_of(start_from) if start_from else self._recordings.stats()
            file.write_text(json.dumps(initial, indent=1))
        stats: Stats = json.loads(file.read_text())
        return stats

    def _log(self, losses: list[tuple[float, float]], seconds: float) -> None:
        action, place = np.mean(losses, axis=0)
        row = {"step": self.step, "action": round(action, 4), "place": round(place, 4), "seconds": round(seconds)}
        row["frames"] = len(self._recordings)
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")

    def _keep(self) -> None:
        state = {
            "master": self._master.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "step": self.step,
            "settings": asdict(self.settings),
        }
        partial = self.folder / "state.partial"
        torch.save(state, partial)
        partial.rename(self.folder / "state.pt")
        export(self._policy, self.average, self.folder / "export", self.stats)

    def _resume(self) -> None:
        file = self.folder / "state.pt"
        if file.exists():
            state = torch.load(file, weights_only=True)
            self._master.load_state_dict(state["master"])
            self.average.load_state_dict(state["average"])
            for optimiser, kept in zip(self._optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(kept)
            self.step = state["step"]
        with torch.no_grad():
            torch._foreach_copy_(list(self._work.parameters()), list(self._master.parameters()))


def stats_of(checkpoint: Path) -> Stats:
    """The scaling that a checkpoint was trained with."""
    (file,) = checkpoint.glob("policy_preprocessor_*_normalizer_processor.safetensors")
    tensors = load_file(file)
    keys = ("observation.state", "action")
    return {key: {name: tensors[f"{key}.{name}"].tolist() for name in ("mean", "std")} for key in keys}


def export(policy: Any, average: Objective, folder: Path, stats: Stats) -> None:
    """Write the averaged weights as a lerobot checkpoint, without the training head."""
    exported = copy.deepcopy(policy)
    exported.model.load_state_dict(average.model.state_dict())
    save(exported, folder, stats)


def _matrices(model: Objective) -> Iterator[nn.Parameter]:
    """The weight matrices inside the transformer layers: those that Muon is designed for."""
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and ".layers." in name:
            yield weight


def _optimisers(model: Objective, rate: float) -> list[torch.optim.Optimizer]:
    inner = list(_matrices(model))
    known = {id(weight) for weight in inner}
    rest = [weight for weight in model.parameters() if id(weight) not in known]
    muon, adam = _rates(rate)
    return [
        torch.optim.Muon(inner, lr=muon, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=adam, betas=(0.9, 0.95), weight_decay=0.01),
    ]


def _rates(rate: float) -> tuple[float, float]:
    return rate, rate
