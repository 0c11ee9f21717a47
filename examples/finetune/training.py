"""One fine-tune: a folder that ends as a checkpoint, and can be resumed after a kill at any moment.

Every step's samples, noise and times are a function of the seed and the step's number, so nothing random has to be
stored: weights, the optimiser's moments and the number of steps done are the whole state.
"""

import contextlib
import fcntl
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from examples.finetune import losses
from examples.finetune.demos import Demonstrations
from examples.finetune.frames import Frames
from examples.finetune.network import Inputs, Network
from examples.finetune.objective import loss_terms
from examples.finetune.recipes import Recipe, Weights
from simeval.core.errors import ConfigError
from simeval.core.files import replace_file
from simeval.policies.lerobot_build import choose_device

HELD_OUT = 20
"""Every so manieth episode is held out: the losses and distances of `_measure` are of those."""
MEASURED = 96
"""Frames of a measurement."""


@dataclass(frozen=True)
class Settings:
    """What a fine-tune depends on, beside the demonstrations.

    Attributes:
        start: the starting checkpoint.
        recipe: the recipe.
        seed: seed of everything random.
        steps: optimiser steps.
        batch: samples per step.
        draws: noisy chunks per sample.
        share: fraction of the samples that are regularised.
        rate: largest learning rate; it rises over the first twentieth and falls to zero as a cosine.
        weights: weights of the regularisers.
        bf16: whether matrix products are in bfloat16; weights stay float32.
    """

    start: str
    recipe: Recipe
    seed: int = 0
    steps: int = 1500
    batch: int = 32
    draws: int = 3
    share: float = 0.5
    rate: float = 5e-4
    weights: Weights = field(default_factory=Weights)
    bf16: bool = False

    def rate_at(self, step: int) -> float:
        """Learning rate of a step."""
        warm = max(1, self.steps // 20)
        return self.rate * min(1.0, (step + 1) / warm) * (1 + math.cos(math.pi * step / self.steps)) / 2


class Training:
    """A fine-tune in a folder: `training/` has its settings, log and state; the checkpoint is written at the end."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        demonstrations: Demonstrations,
        *,
        views: NDArray[np.uint8] | None = None,
        device: str = "cpu",
    ) -> None:
        """Start, or resume from the folder's state.

        Args:
            folder: the checkpoint's folder.
            settings: the settings; those of a folder that was begun must be the same.
            demonstrations: the demonstrations.
            views: from `frames.views_of`; needed by recipes with consistency or augment, and measured by all.
            device: `auto`, `cuda`, `mps` or `cpu`.

        Raises:
            ConfigError: the folder was begun with other settings, or the checkpoint cannot be loaded; one line.
        """
        self.folder, self.settings = folder, settings
        self._notes = folder / "training"
        self._notes.mkdir(parents=True, exist_ok=True)
        self._claim(demonstrations)
        device = choose_device(device)
        if device == "cuda":
            torch.use_deterministic_algorithms(mode=True, warn_only=True)
            torch.set_float32_matmul_precision("high")
        self.network = Network(settings.start, settings.recipe, device, settings.seed)
        self._frames = Frames(demonstrations, self.network, views)
        self._trained, self._held_out = demonstrations.split(HELD_OUT)
        self._weights = self.network.trained()
        self._optimiser = torch.optim.AdamW(
            self._weights.values(), lr=settings.rate, betas=(0.9, 0.95), weight_decay=0.01, fused=device == "cuda"
        )
        self.step = 0
        self._resume()

    @property
    def is_finished(self) -> bool:
        """Whether the folder has the trained checkpoint."""
        return (self.folder / "model.safetensors").is_file()

    def run(self, *, keep: int = 100, stop_at: int | None = None, save_dtype: torch.dtype = torch.float32) -> None:
        """Train to the end and write the checkpoint, or until a step.

        Args:
            keep: steps between states on the disk, what a kill loses at most.
            stop_at: number of steps after which to return without a checkpoint.
            save_dtype: of the checkpoint's weights.

        Raises:
            ConfigError: another process is training in this folder; one line.
        """
        with self._alone():
            self._run(keep, stop_at, save_dtype)

    def _run(self, keep: int, stop_at: int | None, save_dtype: torch.dtype) -> None:
        if self.is_finished:
            self._state_file.unlink(missing_ok=True)  # killed just before
            return
        begun, sums = time.monotonic(), _Sums()
        if self.step == 0:
            self._log({"step": 0, "held_out": self._measure()})
        last = self.settings.steps if stop_at is None else min(stop_at, self.settings.steps)
        while self.step < last:
            sums.add(self._update())
            self.step += 1
            if self.step % 25 == 0 or self.step == last:
                self._log({"step": self.step, **sums.means(), "seconds": round(time.monotonic() - begun, 1)})
            if self.step % keep == 0 or self.step == last:
                self._keep()
        if self.step == self.settings.steps:
            self._log({"step": self.step, "held_out": self._measure()})
            self.network.save(self.folder, save_dtype)
            self._state_file.unlink()

    def _update(self) -> dict[str, Tensor]:
        settings = self.settings
        rng = np.random.default_rng((settings.seed, self.step))
        samples = self._frames.sample(
            self._trained[rng.integers(len(self._trained), size=settings.batch)],
            rng,
            draws=settings.draws,
            regularised=max(1, round(settings.share * settings.batch)),
            conflicts=settings.recipe.has("contrast"),
        )
        if not settings.recipe.sees_changed_views:
            samples = replace(samples, changed=None)
        for group in self._optimiser.param_groups:
            group["lr"] = settings.rate_at(self.step)
        with self._precision():
            terms = loss_terms(self.network, samples, settings.weights)
        total = sum(getattr(settings.weights, name, 1.0) * term for name, term in terms.items())
        assert isinstance(total, Tensor)
        self._optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(list(self._weights.values()), 1.0)
        self._optimiser.step()
        return {name: term.detach() for name, term in terms.items()} | {"total": total.detach()}

    def _measure(self) -> dict[str, float]:
        """On held-out frames, at fixed noise: the objective, and how far words and views move the predicted chunk."""
        with torch.no_grad(), self._precision():
            return self._measured()

    def _measured(self) -> dict[str, float]:
        rng = np.random.default_rng(HELD_OUT)
        size = min(MEASURED, len(self._held_out))
        if not size:
            return {}
        chosen = rng.permutation(self._held_out)[:size]
        samples = self._frames.sample(chosen, rng, draws=1, regularised=size, conflicts=True)
        network, noise, last = self.network, samples.noise[0], torch.ones_like(samples.time[0])

        def chunk(inputs: Inputs) -> Tensor:
            return losses.predicted_chunk(noise, network.velocity(network.prefix(inputs), noise, last), last)

        measured = {
            "objective": next(iter(loss_terms(network, replace(samples, conflicting=None, changed=None)).values()))
        }
        clean, others = chunk(samples.clean), {"words": samples.conflicting, "views": samples.changed}
        measured |= {name: losses.distance(clean, chunk(inputs)).mean() for name, inputs in others.items() if inputs}
        return {name: round(float(value), 4) for name, value in measured.items()}

    @contextlib.contextmanager
    def _precision(self) -> Iterator[None]:
        with torch.autocast(self.network.device, torch.bfloat16, enabled=self.settings.bf16):
            yield

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes out; the lock ends with this process, however it ends."""
        with (self._notes / "settings.json").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(f"{self.folder}: another process is training in it") from None
            yield

    @property
    def _state_file(self) -> Path:
        return self._notes / "state.safetensors"

    def _claim(self, demonstrations: Demonstrations) -> None:
        """Write the settings, or compare them to those that the folder was begun with."""
        file = self._notes / "settings.json"
        now = {**asdict(self.settings), "recipe": str(self.settings.recipe), "demonstrations": demonstrations.sha256}
        if not file.exists():
            replace_file(file, (json.dumps(now, indent=1) + "\n").encode())
            return
        before = json.loads(file.read_text())
        for name in now:
            if before.get(name) != now[name]:
                raise ConfigError(
                    f"{self.folder} was begun with {name} {before.get(name)}, not {now[name]}; choose another --out"
                )

    def _keep(self) -> None:
        tensors = {f"weight/{name}": weight.detach() for name, weight in self._weights.items()}
        for name, weight in self._weights.items():
            for key, value in self._optimiser.state.get(weight, {}).items():
                tensors[f"{key}/{name}"] = value
        on_cpu = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        replace_file(self._state_file, save(on_cpu, {"step": str(self.step)}))

    def _resume(self) -> None:
        if self.is_finished or not self._state_file.exists():
            return
        with safe_open(self._state_file, framework="pt") as kept:
            tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
            self.step = int(kept.metadata()["step"])
        state: dict[int, dict[str, Tensor]] = {}
        with torch.no_grad():
            for index, (name, weight) in enumerate(self._weights.items()):
                weight.copy_(tensors[f"weight/{name}"])
                moments = {key: tensors.get(f"{key}/{name}") for key in ("step", "exp_avg", "exp_avg_sq")}
                if moments["step"] is not None:
                    state[index] = {key: value for key, value in moments.items() if value is not None}
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": state, "param_groups": groups})

    def _log(self, row: dict[str, Any]) -> None:
        with (self._notes / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")


class _Sums:
    """Means of the losses since the last log; on the device, so that a GPU need not be waited for."""

    def __init__(self) -> None:
        self._terms: list[dict[str, Tensor]] = []

    def add(self, terms: dict[str, Tensor]) -> None:
        self._terms.append(terms)

    def means(self) -> dict[str, float]:
        means = {name: torch.stack([terms[name] for terms in self._terms]).mean() for name in self._terms[0]}
        self._terms = []
        return {name: round(float(mean), 5) for name, mean in means.items()}
