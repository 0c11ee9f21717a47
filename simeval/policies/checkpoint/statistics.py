"""Reads and checks the statistics with which a checkpoint scales its inputs and actions.

Non-obvious behaviour:
- lerobot silently passes a value on unscaled if its normalizer has no statistics under the value's name.
- The mode of a normalizer is stored in its step and again in the configuration; the two must agree.
- Statistics in the step's JSON take precedence over its file.
- lerobot divides by `std + eps`, but multiplies by `std`. Source: `lerobot.processor.normalize_processor`, 0.6.1.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simeval.core.errors import ConfigError, first_line
from simeval.policies.checkpoint.steps import Step

NEEDS: Mapping[str, tuple[str, str]] = {
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}
NORMALIZERS = ("normalizer_processor", "molmoact2_masked_normalizer")
UNNORMALIZERS = ("unnormalizer_processor", "molmoact2_masked_unnormalizer")

FAR = 10.0
"""Distance from the middle of the training data, in deviations (or half-ranges), that no valid value reaches."""

_DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8"}
"""NumPy's names of the types in a safetensors file."""
_SHOWN = 4
"""Names of statistics that a message lists."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The scaling of one feature.

    Attributes:
        key: the feature's name where it is scaled.
        source: the name under which it is passed to the preprocessor.
        mode: one of `NEEDS`.
        low: mean, minimum or lower quantile; `float64[n]`, for images `float64[3, 1, 1]`.
        high: deviation, maximum or upper quantile; the same shape.
        eps: replaces a width of 0.
        extremes: minimum and maximum of the training data, if they are saved as well; they scale nothing.
    """

    key: str
    source: str
    mode: str
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    eps: float
    extremes: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    @property
    def width(self) -> NDArray[np.float64]:
        """The divisor of a value's distance from `low`, before `eps` replaces 0."""
        return self.high if self.mode == "MEAN_STD" else self.high - self.low

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale values in the environment's units to the network's input."""
        distance: NDArray[np.float64] = values - self.low
        return distance / (self.high + self.eps) if self.mode == "MEAN_STD" else 2 * distance / self._divisor - 1

    def unscaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale the network's output back to the environment's units."""
        distance: NDArray[np.float64] = (
            values * self.high if self.mode == "MEAN_STD" else (values + 1) / 2 * self._divisor
        )
        return distance + self.low

    @property
    def middle(self) -> NDArray[np.float64]:
        """Mean of the training data, or the middle of its range."""
        return self.low if self.mode == "MEAN_STD" else (self.low + self.high) / 2

    @property
    def spread(self) -> NDArray[np.float64]:
        """Standard deviation of the training data, or half its range."""
        return self.high if self.mode == "MEAN_STD" else self.width / 2

    def limits(self) -> tuple[tuple[float, float], ...]:
        """Per dimension the lowest and highest valid value; unlimited where the training data is constant."""
        reach = np.where(self.spread > 0, FAR * self.spread, np.inf)
        return tuple(
            (float(low), float(high)) for low, high in zip(self.middle - reach, self.middle + reach, strict=True)
        )

    @property
    def _divisor(self) -> NDArray[np.float64]:
        return np.where(self.width == 0, self.eps, self.width)


@dataclass(frozen=True, slots=True)
class Feature:
    """An input or output of the policy, scaled or not.

    Attributes:
        key: its name.
        source: the name under which it is passed to the preprocessor.
        kind: `VISUAL`, `STATE` or `ACTION`.
        mode: its scaling according to the configuration; `None` if that says nothing.
    """

    key: str
    source: str
    kind: str
    mode: str | None


def read_scale(feature: Feature, steps: Sequence[Step], file: str, folder: Path, *, name: str) -> Scale | None:
    """Read how a pipeline scales a feature; `None` if it does not scale it and need not.

    Args:
        feature: the feature.
        steps: steps of the pipeline.
        file: file of the pipeline.
        folder: folder of the checkpoint.
        name: name of the checkpoint.

    Raises:
        ConfigError: it must be scaled, but the step, file or statistics are missing or unusable.
    """
    kinds, others = (UNNORMALIZERS, NORMALIZERS) if feature.kind == "ACTION" else (NORMALIZERS, UNNORMALIZERS)
    if any(step.name in others for step in steps):
        raise ConfigError(f"policy '{name}': {file} has a step {others[0]}, which scales the wrong way there")
    normalizers = [step for step in steps if step.name in kinds]
    if not normalizers:
        if feature.mode in (None, "IDENTITY"):
            return None
        raise ConfigError(
            f"policy '{name}': {feature.key} is to be scaled by {feature.mode}, but {file} has no step {kinds[0]}; "
            "save the policy again with its processors"
        )
    if len(normalizers) > 1:
        raise ConfigError(f"policy '{name}': {file} has {len(normalizers)} steps {kinds[0]}, which would scale twice")
    (step,) = normalizers
    mode = _mode(step, feature, file, name)
    if mode == "IDENTITY":
        return None
    where = f"{file}: {step.name}"
    keys = step.config.get("normalize_observation_keys")
    if feature.key not in (step.config.get("features") or {}) or (
        keys is not None and feature.kind != "ACTION" and feature.key not in keys
    ):
        raise ConfigError(
            f"policy '{name}': no statistics are used for {feature.key}, which {mode} should scale: "
            f"{where} does not list it"
        )
    return _scale(feature, mode, step, where, folder, name=name)


def _mode(step: Step, feature: Feature, file: str, name: str) -> str:
    mode = step.config.get("norm_map", {}).get(feature.kind, "IDENTITY")
    if mode != "IDENTITY" and mode not in NEEDS:
        raise ConfigError(f"policy '{name}': {file} scales {feature.kind} by {str(mode)[:40]!r}, which lerobot cannot")
    if feature.mode is not None and mode != feature.mode:
        raise ConfigError(
            f"policy '{name}': config.json has {feature.kind} scaled by {feature.mode}, {file} by {mode}; "
            "make the two agree"
        )
    return str(mode)


def _scale(feature: Feature, mode: str, step: Step, where: str, folder: Path, *, name: str) -> Scale:
    statistics, source = _statistics(step, where, folder, name)
    needed = [f"{feature.key}.{kind}" for kind in NEEDS[mode]]
    missing = [key for key in needed if key not in statistics]
    if missing:
        others = sorted(statistics, key=lambda key: (feature.key not in key, key))
        has = f"{', '.join(others[:_SHOWN])}{', ...' if len(others) > _SHOWN else ''}" if others else "nothing"
        raise ConfigError(
            f"policy '{name}': no {' and '.join(NEEDS[mode])} of {feature.key}, which {mode} scales with, "
            f"in {source}; it has {has}"
        )
    shape = tuple(step.config["features"][feature.key]["shape"])
    low, high = (_values(statistics[key], key, shape, source, name=name) for key in needed)
    extremes = _extremes(statistics, feature.key, low, high if mode != "MEAN_STD" else low)
    scale = Scale(feature.key, feature.source, mode, low, high, float(step.config.get("eps", 1e-8)), extremes)
    if (scale.width < 0).any():
        at = int(np.argmax(scale.width.ravel() < 0)) + 1
        what = "a negative std" if mode == "MEAN_STD" else f"{NEEDS[mode][0]} above {NEEDS[mode][1]}"
        raise ConfigError(f"policy '{name}': {feature.key} has {what} at number {at} in {source}")
    return scale


def _statistics(step: Step, where: str, folder: Path, name: str) -> tuple[Mapping[str, Any], str]:
    """Statistics by `value.kind`, and the place where they are saved."""
    in_json = step.config.get("stats")
    if in_json:
        return {f"{key}.{kind}": numbers for key, of in in_json.items() for kind, numbers in of.items()}, where
    if step.state_file is None:
        raise ConfigError(f"policy '{name}': {where} names no file with statistics (state_file)")
    from safetensors import SafetensorError, deserialize

    try:
        tensors = deserialize((folder / step.state_file).read_bytes())  # type: ignore[no-untyped-call]
        return {key: _array(tensor) for key, tensor in tensors}, step.state_file
    except (SafetensorError, OSError, TypeError) as error:
        raise ConfigError(
            f"policy '{name}': the statistics in {step.state_file} cannot be read ({first_line(error)}); "
            "download or save it again"
        ) from None


def _extremes(
    statistics: Mapping[str, Any], key: str, low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The saved minimum and maximum of a value; `None` if they are missing or do not enclose what it is scaled with.

    lerobot saves all statistics of a dataset, whichever it scales with.
    """
    with contextlib.suppress(KeyError, TypeError, ValueError):
        least, most = (
            np.asarray(statistics[f"{key}.{kind}"], np.float64).reshape(low.shape) for kind in ("min", "max")
        )
        slack = 1e-4 * (1 + np.abs(most - least))  # they may be rounded
        if np.isfinite(slack).all() and (least <= low + slack).all() and (most >= high - slack).all():
            return least, most
    return None


def _array(tensor: Mapping[str, Any]) -> NDArray[np.generic]:
    """A tensor of a safetensors file, which may have a type that NumPy lacks.

    Raises:
        TypeError: it is of a type that nobody saves statistics in.
    """
    kind, data = tensor["dtype"], tensor["data"]
    if kind == "BF16":  # the upper half of a float32
        values: NDArray[np.generic] = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    elif kind in _DTYPES:
        values = np.frombuffer(data, _DTYPES[kind])
    else:
        raise TypeError(f"they are of type {kind}")
    return values.reshape(tensor["shape"])


def _values(numbers: Any, key: str, shape: tuple[int, ...], source: str, *, name: str) -> NDArray[np.float64]:
    try:
        values = np.asarray(numbers, np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"policy '{name}': {key} in {source} is no list of numbers") from None
    image = len(shape) == 3
    allowed = [(shape[0],), (shape[0], 1, 1), shape] if image else [shape]
    if values.shape not in allowed:
        size = "x".join(map(str, values.shape)) or "1 number"
        raise ConfigError(
            f"policy '{name}': {key} in {source} has size {size}, the value has {'x'.join(map(str, shape))}"
        )
    if not np.isfinite(values).all():
        at = int(np.argmin(np.isfinite(values).ravel())) + 1
        raise ConfigError(f"policy '{name}': {key} in {source} is not finite at number {at}: {values.ravel()[at - 1]}")
    return values.reshape(-1, 1, 1) if image and values.ndim == 1 else values
