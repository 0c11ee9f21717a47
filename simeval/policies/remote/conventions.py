"""Conventions: what a family of models wants to be sent and what it answers, as data.

A card is a YAML file; simeval's own are in `cards/`. A user copies one, changes it, and passes the file's path.

Non-obvious behaviour:
- simeval's images are upright already: LIBERO's raw images rotated by 180 degrees, as nearly all policies were trained.
- A number of `state` is what simeval's policies get, in float32. So float64 states have float32's digits.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from envs.base import CAMERAS
from simeval.core import provenance
from simeval.core.errors import ConfigError, nearest
from simeval.core.texts import shown
from simeval.core.yaml_file import read_yaml
from simeval.policies.remote.state import COMPONENTS

_CARDS = Path(__file__).parent / "cards"
_MAX_BYTES = 65_536

Constant = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class ImageForm:
    """How images are sent.

    Attributes:
        size: pixels per side; `None` for as rendered.
        orientation: `upright`, or `raw` for LIBERO's own images, which are rotated by 180 degrees.
        resize: `pad` keeps the aspect ratio and fills with black, `stretch` does not.
        filter: interpolation of Pillow.
        crop: share of the area that a central crop keeps, in (0, 1]; the crop is resized back.
    """

    size: int | None = None
    orientation: Literal["upright", "raw"] = "upright"
    resize: Literal["pad", "stretch"] = "pad"
    filter: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"
    crop: float = 1.0


@dataclass(frozen=True, slots=True)
class ActionForm:
    """What the answer's actions mean.

    Attributes:
        keys: keys of the answer whose columns are joined; empty for an answer that is the actions itself.
        control: `delta`; `absolute` is refused, since the environments take changes.
        gripper_open, gripper_closed: the server's values for an open and for a closed gripper.
        gripper_binary: whether only fully open and fully closed are executed.
        executed: actions of a chunk that are executed; `None` if the server says so.
    """

    keys: tuple[str, ...] = ()
    control: Literal["delta", "absolute"] = "delta"
    gripper_open: float = -1.0
    gripper_closed: float = 1.0
    gripper_binary: bool = False
    executed: int | None = None


@dataclass(frozen=True, slots=True)
class Convention:
    """What a family of models wants to be sent and what it answers.

    Attributes:
        name: name of the card, or of the user's file.
        description: one line for people.
        images: camera of simeval and key in the request.
        image: how the images are sent.
        state: key in the request and the components of its vector, entries of `state.COMPONENTS`.
        state_dtype: `float32` or `float64`.
        instruction_key: key of the instruction in the request.
        template: the sent instruction, with `{instruction}` or `{instruction_lower}` in it.
        constants: further keys with fixed values.
        leading_axes: axes of length 1 before those of images and state; the instruction is in as many lists.
        nested_at: separator at whose first occurrence a key becomes a map in a map; empty for flat keys.
        actions: what the answer means.
    """

    name: str
    description: str
    images: tuple[tuple[str, str], ...]
    image: ImageForm
    state: tuple[tuple[str, tuple[str, ...]], ...]
    state_dtype: Literal["float32", "float64"]
    instruction_key: str
    template: str
    constants: tuple[tuple[str, Constant], ...]
    leading_axes: int
    nested_at: str
    actions: ActionForm

    @property
    def digest(self) -> str:
        """SHA-256 (16 hex digits) over everything that changes a request or the meaning of an answer."""
        values = {key: value for key, value in asdict(self).items() if key not in ("name", "description")}
        return provenance.digest(values)[:16]


def names() -> tuple[str, ...]:
    """Names of simeval's own cards."""
    return tuple(sorted(path.stem for path in _CARDS.glob("*.yaml")))


def catalog() -> tuple[tuple[str, str], ...]:
    """Name and one-line description of each of simeval's own cards, for `simeval list conventions`."""
    return tuple((name, read_convention(name).description) for name in names())


def card_file(name: str) -> Path:
    """File of one of simeval's own cards, for users who copy it."""
    return _CARDS / f"{name}.yaml"


def read_convention(choice: str) -> Convention:
    """Read a convention.

    Args:
        choice: name of a card of simeval, or path of a YAML file.

    Raises:
        ConfigError: there is none, or it is malformed; one line.
    """
    if choice in names():
        return _parsed(choice, _CARDS / f"{choice}.yaml")
    path = Path(choice)
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"--convention: no card or YAML file '{shown(choice)}'{nearest(choice, names())}")
    return _parsed(path.stem, path)


def _parsed(name: str, path: Path) -> Convention:
    where = f"--convention {shown(path.name if path.parent == _CARDS else path, 200)}"
    return _Card(where).convention(name, read_yaml(str(path), "--convention", max_bytes=_MAX_BYTES))


@dataclass(frozen=True, slots=True)
class _Card:
    """Checks the values of a card; `where` begins each error."""

    where: str

    def convention(self, name: str, values: Any) -> Convention:
        """The convention that a card's values describe.

        Raises:
            ConfigError: a key is unknown or missing, or a value is not one of those allowed.
        """
        known = ("actions", "constants", "description", "image", "images", "instruction", "leading_axes", "nested_at")
        top = self._map("", values, (*known, "state", "state_dtype"))
        images = self._map("images", top.get("images", {}), CAMERAS)
        instruction = self._map("instruction", top.get("instruction"), ("key", "template"))
        if "key" not in instruction:
            raise ConfigError(f"{self.where}: instruction.key is missing")
        state = self._map("state", top.get("state", {}), None)
        constants = self._map("constants", top.get("constants", {}), None)
        return Convention(
            name=name,
            description=self._text("description", top.get("description", "")),
            images=tuple((camera, self._text(f"images.{camera}", key)) for camera, key in images.items()),
            image=self._image(self._map("image", top.get("image", {}), _fields(ImageForm))),
            state=tuple((key, self._components(key, parts)) for key, parts in state.items()),
            state_dtype=self._choice("state_dtype", top.get("state_dtype", "float32"), ("float32", "float64")),
            instruction_key=self._text("instruction.key", instruction["key"]),
            template=self._template(instruction.get("template", "{instruction}")),
            constants=tuple((key, self._constant(f"constants.{key}", value)) for key, value in constants.items()),
            leading_axes=self._whole("leading_axes", top.get("leading_axes", 0), 0, 3),
            nested_at=self._text("nested_at", top.get("nested_at", "")),
            actions=self._actions(self._map("actions", top.get("actions", {}), _fields(ActionForm))),
        )

    def _image(self, values: Mapping[str, Any]) -> ImageForm:
        size, plain = values.get("size"), ImageForm()
        return ImageForm(
            size=None if size is None else self._whole("image.size", size, 16, 4096),
            orientation=self._choice("image.orientation", values.get("orientation", "upright"), ("upright", "raw")),
            resize=self._choice("image.resize", values.get("resize", plain.resize), ("pad", "stretch")),
            filter=self._choice("image.filter", values.get("filter", plain.filter), ("bilinear", "bicubic", "lanczos")),
            crop=self._number("image.crop", values.get("crop", 1.0), 0.1, 1.0),
        )

    def _actions(self, values: Mapping[str, Any]) -> ActionForm:
        control = self._choice("actions.control", values.get("control", "delta"), ("delta", "absolute"))
        if control == "absolute":
            raise ConfigError(
                f"{self.where}: actions.control: absolute: the environments take changes of the pose only; "
                "convert them in the server"
            )
        keys, executed = values.get("keys", []), values.get("executed")
        if not isinstance(keys, list) or not all(isinstance(key, str) and key for key in keys):
            raise ConfigError(f"{self.where}: actions.keys: a list of texts, not {shown(keys, 40)}")
        is_open = self._number("actions.gripper_open", values.get("gripper_open", -1), -1e6, 1e6)
        closed = self._number("actions.gripper_closed", values.get("gripper_closed", 1), -1e6, 1e6)
        if is_open == closed:
            raise ConfigError(f"{self.where}: actions.gripper_open and gripper_closed are both {is_open:g}")
        binary = values.get("gripper_binary", False)
        if not isinstance(binary, bool):
            raise ConfigError(f"{self.where}: actions.gripper_binary: true or false, not {shown(binary, 40)}")
        steps = None if executed is None else self._whole("actions.executed", executed, 1, 10_000)
        return ActionForm(tuple(keys), control, is_open, closed, binary, steps)

    def _components(self, key: str, parts: Any) -> tuple[str, ...]:
        if not isinstance(parts, list) or not parts:
            raise ConfigError(f"{self.where}: state.{shown(key, 40)}: a list of components, not {shown(parts, 40)}")
        for part in parts:
            if not isinstance(part, str) or part not in COMPONENTS:
                known = nearest(str(part), tuple(COMPONENTS))
                raise ConfigError(f"{self.where}: state.{shown(key, 40)}: no component '{shown(part, 40)}'{known}")
        return tuple(parts)

    def _template(self, value: Any) -> str:
        text = self._text("instruction.template", value)
        rest = text.replace("{instruction}", "").replace("{instruction_lower}", "")
        if rest == text or "{" in rest or "}" in rest:
            raise ConfigError(
                f"{self.where}: instruction.template: a text with {{instruction}} or {{instruction_lower}} in it, "
                f"not '{shown(text)}'"
            )
        return text

    def _map(self, key: str, values: Any, known: tuple[str, ...] | None) -> Mapping[str, Any]:
        place = f"{key}: " if key else ""
        if values is None and key:
            values = {}
        if not isinstance(values, dict) or not all(isinstance(name, str) and name for name in values):
            raise ConfigError(f"{self.where}: {place}'key: value' lines, not {shown(values, 40)}")
        for name in values:
            if known is not None and name not in known:
                raise ConfigError(f"{self.where}: {place}no key '{shown(name, 40)}'{nearest(name, known)}")
        return values

    def _text(self, key: str, value: Any) -> str:
        if not isinstance(value, str):
            raise ConfigError(f"{self.where}: {key}: a text, not {shown(value, 40)}")
        return value

    def _choice(self, key: str, value: Any, known: tuple[str, ...]) -> Any:
        if value not in known:
            raise ConfigError(f"{self.where}: {key}: no '{shown(value, 40)}'{nearest(str(value), known)}")
        return value

    def _whole(self, key: str, value: Any, low: int, high: int) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ConfigError(f"{self.where}: {key}: a whole number from {low} to {high}, not {shown(value, 40)}")
        return value

    def _number(self, key: str, value: Any, low: float, high: float) -> float:
        if type(value) not in (int, float) or not low <= value <= high:
            raise ConfigError(f"{self.where}: {key}: a number from {low:g} to {high:g}, not {shown(value, 40)}")
        return float(value)

    def _constant(self, key: str, value: Any) -> Constant:
        if not isinstance(value, str | int | float | bool | None):
            raise ConfigError(f"{self.where}: {shown(key, 40)}: a text or a number, not {shown(value, 40)}")
        return value


def _fields(form: type) -> tuple[str, ...]:
    return tuple(form.__annotations__)
