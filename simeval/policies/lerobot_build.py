"""Builds a checkpoint's network and pipelines with lerobot, and reports failures in one line.

lerobot silently replaces an unavailable device, and silently keeps random weights where a checkpoint has none. Both are
refused here.
"""

import contextlib
import io
import logging
import re
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simeval.core.errors import ConfigError, nearest
from simeval.policies.checkpoint.adapter import merged
from simeval.policies.checkpoint.carried import incomplete
from simeval.policies.checkpoint.harmless import ForeignCodeError, check_registered, no_foreign_code
from simeval.policies.checkpoint.read import Checkpoint, hub_or_cache, one_line

DEVICES = ("auto", "cuda", "mps", "cpu")

_SWALLOWED = re.compile(r"Could not load state dict|without loading pretrained weights|Missing keys when loading")
"""What pi0, pi05 and pi0_fast print before they continue with random weights. Source: their `from_pretrained`."""


_NOT_HERE = re.compile(r"huggingface\.co|offline mode|outgoing traffic has been disabled|HF_HUB_OFFLINE")
"""What transformers and the hub's client say of a file that they can neither find nor fetch."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What lerobot built from a checkpoint."""

    config: Any
    model: Any
    preprocess: Any
    postprocess: Any


def build(checkpoint: Checkpoint, device: str) -> Parts:
    """Build the network on its device, ready to predict, and both pipelines.

    Args:
        checkpoint: the checkpoint, as read.
        device: see `choose_device`.

    Raises:
        ConfigError: it does not fit or cannot be loaded.
    """
    # Third-party model code can raise anything; the user gets one line, and the cause stays attached.
    try:
        with (
            quiet() as printed,
            no_foreign_code(),
            contextlib.nullcontext() if checkpoint.vlm and checkpoint.vlm_name else hub_or_cache(),
        ):
            parts = _build(checkpoint, device)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"policy '{checkpoint.name}' {_explain(error, checkpoint)}") from error
    swallowed = [line for line in printed.getvalue().splitlines() if _SWALLOWED.search(line)]
    if swallowed:
        raise ConfigError(f"policy '{checkpoint.name}' cannot be loaded: {swallowed[0].strip()[:300]}")
    return parts


def _build(checkpoint: Checkpoint, device: str) -> Parts:
    """Build the model and both pipelines with lerobot; it may raise anything."""
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies import get_policy_class, make_pre_post_processors  # registers the policy types, too
    from lerobot.utils.import_utils import register_third_party_plugins

    register_third_party_plugins()
    known = list(PreTrainedConfig.get_known_choices())
    if checkpoint.type not in known:
        raise ConfigError(
            f"policy '{checkpoint.name}': lerobot knows no type '{checkpoint.type}'{nearest(checkpoint.type, known)}"
        )
    folder = str(checkpoint.folder)
    check_registered([*checkpoint.before, *checkpoint.after], checkpoint.name)
    with _scratch_folder():
        config = PreTrainedConfig.from_pretrained(folder)
    values: dict[str, Any] = {
        "device": device,
        "n_action_steps": checkpoint.call.n_action_steps,
        "pretrained_backbone_weights": None,  # a download whose result the checkpoint's weights replace
        "compile_model": False,  # takes minutes, and switches TF32 on
        "pretrained_path": checkpoint.folder,  # some types read their own configuration again from there
    }
    overrides: dict[str, dict[str, Any]] = {
        "device_processor": {"device": device},
        "tokenizer_processor": {"padding": "max_length"},
        "action_tokenizer_processor": {"trust_remote_code": False},
    }
    if checkpoint.vlm is not None:
        values["vlm_model_name"] = overrides["tokenizer_processor"]["tokenizer_name"] = str(checkpoint.vlm)
    for field, value in values.items():
        if hasattr(config, field):
            setattr(config, field, value)
    weights = str(checkpoint.adapter.base) if checkpoint.adapter else folder
    model = get_policy_class(config.type).from_pretrained(weights, config=config, strict=True)
    if checkpoint.adapter:
        model = merged(model, checkpoint.adapter, checkpoint.folder)
    # An override of a missing step is an error. Steps without override keep their saved values, mainly the rename map.
    before, after = (
        {step.name: overrides[step.name] for step in steps if step.name in overrides}
        for steps in (checkpoint.before, checkpoint.after)
    )
    if "device_processor" in after:
        after["device_processor"] = {"device": "cpu"}
    preprocess, postprocess = make_pre_post_processors(
        config, pretrained_path=folder, preprocessor_overrides=before, postprocessor_overrides=after
    )
    return Parts(config, _kept_in_eval(model.to(device)), preprocess, postprocess)


def _kept_in_eval(model: Any) -> Any:
    """A model in evaluation mode, whose `eval` visits its modules again only if it has been trained since.

    lerobot calls it for every chunk: with many modules that takes as long as preparing the whole observation.
    """
    visit = model.eval

    def enter() -> Any:
        return visit() if model.training else model

    model.eval = enter
    return visit()


def _explain(error: Exception, checkpoint: Checkpoint) -> str:
    """Why a checkpoint cannot be loaded, as the rest of a sentence."""
    text = str(error)
    for cause in _causes(error):
        if isinstance(cause, ForeignCodeError):
            return str(cause)
    if "Missing key(s)" in text or "Unexpected key(s)" in text:
        missing, _, unknown = text.partition("Unexpected key(s)")
        parts = []
        for verb, names in (("lack", missing), ("have unknown", unknown)):
            keys = re.findall(r'"([^"]+)"', names)
            if keys:
                parts.append(f"{verb} {len(keys)} tensors ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})")
        return f"cannot be loaded: its weights {' and '.join(parts)}"
    if checkpoint.vlm and (fault := incomplete(checkpoint.vlm)):
        return f"cannot be loaded: {fault} ({one_line(error)[:150]})"
    if any(_NOT_HERE.search(str(cause)) for cause in _causes(error)):
        return _not_here(checkpoint)
    return f"cannot be loaded: {one_line(error)}"


def _not_here(checkpoint: Checkpoint) -> str:
    """What to say of a model that is neither in the cache nor to be had, as the rest of a sentence."""
    from huggingface_hub import try_to_load_from_cache

    missing = [name for name in checkpoint.models if not isinstance(try_to_load_from_cache(name, "config.json"), str)]
    names = missing or list(checkpoint.models)
    named = " and ".join(f"'{name}'" for name in names) or "a model of the hub"
    carried = checkpoint.vlm is None and checkpoint.vlm_name in missing
    remedy = "its folder may carry the files as vlm/" if carried else "fetch it with hf download"
    are = "are" if len(names) > 1 else "is"
    return f"needs {named}, which {are} not in the cache and the hub cannot give; {remedy}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and its chain of causes: lerobot wraps errors of processing steps."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def choose_device(device: str) -> str:
    """Resolve the device to use.

    Raises:
        ConfigError: unknown or not available; lerobot would silently take another one.
    """
    import torch

    if device not in DEVICES:
        raise ConfigError(f"unknown device '{device}'{nearest(device, DEVICES)}")
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    usable = [name for name, is_available in available.items() if is_available]
    if device == "auto":
        return usable[0]
    if device not in usable:
        raise ConfigError(f"device '{device}' is not available here; available: {', '.join(usable)}")
    return device


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Suppress output, progress bars, logs and warnings of lerobot and transformers; yields what they print."""
    level, printed = logging.root.manager.disable, io.StringIO()
    logging.disable(logging.ERROR)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield printed
    finally:
        logging.disable(level)


@contextlib.contextmanager
def _scratch_folder() -> Iterator[None]:
    """Remove the copy of the configuration that lerobot leaves among the temporary files."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as scratch:
        tempfile.tempdir = scratch
        try:
            yield
        finally:
            tempfile.tempdir = before
