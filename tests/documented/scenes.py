"""One official scene, here and in stock LIBERO: docs/reference/scenes.md and the page on speed."""

from collections.abc import Iterator

from documented import speed
from documented.benchmarks import benchmark
from documented.claims import Claim, Statement, Table

PAGE = "docs/reference/scenes.md"
HEADER = "| | simeval | stock LIBERO |"


def statements() -> Iterator[Statement]:
    steps, drawn, memory = benchmark("libero_env").values()
    reset, blind, look = steps
    images = {"look": f"{look['ours ms']:.0f}", "stock_look": f"{look['stock ms']:.0f}"}
    blinds = {"blind": f"{blind['ours ms']:.1f}", "stock_blind": f"{blind['stock ms']:.1f}"}
    yield Claim(speed.PAGE, "control step with images: {look} ms, and {stock_look} ms in stock", images)
    yield Claim(speed.PAGE, "which takes {saved} % off", {"saved": f"{100 * (1 - drawn[0]['ratio']):.0f}"})
    yield Claim(speed.PAGE, "without images takes {blind} ms, in stock LIBERO {stock_blind} ms", blinds)

    def rows() -> dict[str, tuple[str, ...]]:
        gigabytes = tuple(f"{value / 1000:.1f} GB" for value in memory[0].values())
        return {
            "reset and 10 settling steps": tuple(f"{reset[key] / 1000:.2g} s" for key in ("ours ms", "stock ms")),
            "control step without images": tuple(f"{value} ms" for value in blinds.values()),
            "control step with an image of each camera": tuple(f"{value} ms" for value in images.values()),
            "memory of the process": gigabytes,
        }

    yield Table(PAGE, HEADER, rows)
