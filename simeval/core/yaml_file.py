"""YAML files of users: recipes and cards of policy servers. Malformed or ambiguous ones are refused with one line.

Non-obvious behaviour:
- YAML 1.1 reads 010 as eight, 1_000 as a thousand and 1:30 as ninety. Here only plain decimal numbers are accepted.
- PyYAML silently keeps the last of two equal keys: one policy of a study would be lost. Here a key may occur once.
- A key with nothing behind it is `null` in YAML. Here it is refused: `perturb:` whose list was lost, or has its indent
  wrong, would be a run without perturbations. Who means `null` writes it.
- The parser has no depth limit except Python's, and invalid numbers and dates raise several other exceptions.
"""

import re
from pathlib import Path
from typing import Any

from simeval.core.errors import ConfigError
from simeval.core.files import read_regular
from simeval.core.texts import shown

_PLAIN = re.compile(
    r"[-+]?(?:(?:0|[1-9][0-9]{0,39})(?:\.[0-9]*)?(?:e[-+]?[0-9]{1,3})?|\.[0-9]+(?:e[-+]?[0-9]{1,3})?|\.inf)|\.nan", re.I
)

_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
"""Tag of the key `<<`, which takes over entries of another mapping; own entries replace those, as YAML says."""


class _NoValue(Exception):  # noqa: N818 - never leaves this module
    """A key of a mapping has nothing behind it."""


def read_yaml(path: str, option: str, *, max_bytes: int | None = None) -> dict[str, Any]:
    """Read a mapping.

    Args:
        path: the file.
        option: the option that names it, for messages.
        max_bytes: longest file that is read; `None` for any.

    Raises:
        ConfigError: the file is missing, not a regular file, too long, unreadable, or not a mapping.
    """
    import yaml

    where = shown(path, 200)
    try:
        content = read_regular(Path(path))
        if max_bytes is not None and len(content) > max_bytes:
            raise ConfigError(f"{path} has {len(content)} bytes; at most {max_bytes} are read")
        values = yaml.load(content.decode(), _loader())
    except OSError as error:
        raise ConfigError(f"{option}: cannot read {where}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{option}: cannot read {where}: it is not UTF-8") from None
    except _NoValue as error:
        raise ConfigError(f"{option}: {where} {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{option}: {shown(error, 400)}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        text = f": {shown(error.problem, 100)}" if getattr(error, "problem", None) else ""
        raise ConfigError(f"{option}: {where} is not YAML{f' (line {mark.line + 1})' if mark else ''}{text}") from None
    except RecursionError:
        raise ConfigError(f"{option}: {where} is nested too deeply") from None
    except (ValueError, OverflowError, TypeError, KeyError, AttributeError) as error:  # dates, tags
        raise ConfigError(f"{option}: {where} holds a value that cannot be read: {shown(error, 100)}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{option}: {where} must hold 'option: value' lines")
    return values


def _loader() -> Any:
    """PyYAML's safe loader, with plain numbers, and keys that occur once and have a value."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Accepts only numbers whose value is what their digits say, and each key of a mapping once, with a value."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
            seen: list[Any] = []
            for key in (key for key, _ in node.value if key.tag != _MERGE):
                value = self.construct_object(key, deep=True)
                if value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"'{shown(value, 40)}' occurs twice", key.start_mark
                    )
                seen.append(value)
            for key, value in node.value:
                if value.tag == _NULL and not value.value:
                    line = key.start_mark.line + 1
                    raise _NoValue(f"line {line}: '{shown(key.value, 40)}' has no value; write one, or leave it out")
            return super().construct_mapping(node, deep=deep)

    def plain(kind: str) -> Any:
        def number(loader: Any, node: Any) -> Any:
            if not _PLAIN.fullmatch(str(node.value)):
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{shown(node.value, 40)}' is no plain number", node.start_mark
                )
            return getattr(yaml.SafeLoader, f"construct_yaml_{kind}")(loader, node)

        return number

    for kind in ("int", "float"):
        Loader.add_constructor(f"tag:yaml.org,2002:{kind}", plain(kind))
    return Loader
