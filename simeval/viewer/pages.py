"""Templates of the pages, and the words that all of them use."""

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from simeval.core.texts import escaped
from simeval.report.format import decimal, p_value, with_drop, with_interval
from simeval.viewer.charts import interval_bar


@cache
def environment() -> Environment:
    """The templates; every text from a run is escaped."""
    made = Environment(
        loader=PackageLoader("simeval.viewer", "templates"),
        autoescape=True,
        finalize=_plain,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "address": address,
        "decimal": decimal,
        "with_interval": with_interval,
        "with_drop": with_drop,
        "p_value": p_value,
        "interval_bar": interval_bar,
    }
    return made


def render(template: str, **values: Any) -> str:
    """A page."""
    return environment().get_template(template).render(**values)


def address(path: str, *queries: Mapping[str, str], **more: object) -> str:
    """The address of a page.

    Args:
        path: without a question mark.
        queries: parts of the address after it.
        more: further ones; `None` and empty texts are left out.
    """
    parts: dict[str, str] = {}
    for query in queries:
        parts |= query
    parts |= {name: str(value) for name, value in more.items() if value not in (None, "")}
    return f"{path}?{urlencode(parts)}" if parts else path


def _plain(value: Any) -> Any:
    """Escape control characters: marks of writing direction and the like."""
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    return "\n".join(map(escaped, value.split("\n")))
