"""The pages: which address shows what. All state of a page is in its address."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import simeval.report
from simeval.analysis.stages import DIVERGED
from simeval.core.errors import ConfigError, SimevalError, nearest
from simeval.core.texts import shown
from simeval.viewer.cells import suite_maps
from simeval.viewer.clips import Clips
from simeval.viewer.compared import compared
from simeval.viewer.drift import DriftReader
from simeval.viewer.episode import read_episode
from simeval.viewer.filters import Filter, Stages, choices
from simeval.viewer.guard import Guard
from simeval.viewer.index import OUTCOMES, Rows, Stamp
from simeval.viewer.library import Library, StoredRun, Unreadable, count_lines
from simeval.viewer.numbers import BRIEF, Calculator, Numbers
from simeval.viewer.pages import render
from simeval.viewer.request import VIEWS
from simeval.viewer.stages import StageReader, stage_of

PAGE = 50
"""Episodes on a page of a list."""
MOST = 200
"""Conditions in a table; a search may have thousands."""
SOON, LATER = 2000, 10_000
"""How often an open page asks whether anything changed (ms): while a run is running, and otherwise."""
FILES = {
    "report.css": Path(simeval.report.__file__).parent / "templates" / "style.css",
    "viewer.css": Path(__file__).parent / "templates" / "viewer.css",
    "viewer.js": Path(__file__).parent / "templates" / "viewer.js",
}
_TYPES = {".css": "text/css", ".js": "text/javascript"}


@dataclass(frozen=True, slots=True)
class Overview:
    """A run in the list of all: its episodes so far, its state, and its numbers if they are there."""

    stored: StoredRun
    ran: int
    state: str
    numbers: Numbers | None


@dataclass(frozen=True, slots=True)
class Listed:
    """An episode in a list; `before` is the outcome of its unperturbed twin, empty without one."""

    id: str
    task: int
    init_state: int
    repeat: int
    condition: str
    outcome: str
    before: str
    flip: int
    steps: int
    flags: tuple[str, ...]
    stage: str


class Viewer:
    """The pages over a folder of runs."""

    def __init__(self, library: Library, clips: Clips) -> None:
        """Args: library: the runs; clips: their videos."""
        self._library, self._clips, self._numbers = library, clips, Calculator()
        self._stages, self._drift = StageReader(), DriftReader()

    def application(self, token: str | None) -> Guard:
        """The ASGI application.

        Args:
            token: what a request has to know; `None` for a server that only this machine can reach.
        """
        pages: dict[str, Callable[[Request], Response]] = {
            "/": self.overview,
            "/run": self.run,
            "/episodes": self.episodes,
            "/episode": self.episode,
            "/clips": self.clips,
            "/clip/{key}.mp4": self.clip,
            "/compare": self.compare,
            "/static/{name}": self.static,
            "/favicon.ico": lambda request: Response(status_code=204),
        }
        routes = [Route(path, page, methods=["GET"]) for path, page in pages.items()]
        handlers: dict[Any, Any] = {SimevalError: _refused, 404: _missing}
        return Guard(Starlette(routes=routes, exception_handlers=handlers), token=token)

    def overview(self, request: Request) -> Response:
        """All runs."""
        listing = self._library.listing()
        entries = listing.entries
        until = time.monotonic() + BRIEF
        runs = [self._overview(entry, until) for entry in entries if isinstance(entry, StoredRun)]
        pending = any(one.numbers is None or one.numbers.stamp != one.stored.index.stamp() for one in runs)
        every = SOON if pending or any(one.state == "running" for one in runs) else LATER
        broken = [entry for entry in entries if isinstance(entry, Unreadable)]
        about = [(one.stored.name, one.ran, one.state, _stamp(one.numbers)) for one in runs]
        return _page(
            request,
            (about, broken, listing.not_shown),
            "runs.html.j2",
            runs=runs, broken=broken, not_shown=listing.not_shown.text, root=str(self._library.root), every=every,
        )  # fmt: skip

    def _overview(self, stored: StoredRun, until: float) -> Overview:
        numbers = self._numbers.get(stored, wait=max(0.0, until - time.monotonic()))
        known = numbers is not None and numbers.episodes and numbers.stamp == stored.index.stamp()
        ran = numbers.episodes if numbers and known else count_lines(stored.index.path)
        if stored.planned is not None:
            ran = min(ran, stored.planned)  # a broken episode that ran again has two lines
        return Overview(stored, ran, stored.state(ran), numbers)

    def run(self, request: Request) -> Response:
        """One run: its conditions, and the map of its tasks."""
        stored = self._stored(request)
        rows = stored.index.rows()
        numbers, state = self._numbers.get(stored), stored.state(len(rows))
        pending = numbers is None or numbers.stamp != stored.index.stamp()
        analysis, stages = numbers.analysis if numbers else None, self._stages.get(stored, rows)
        offered = choices(rows, stages)
        drops = {(row.suite, row.condition): row for row in analysis.drops} if analysis else {}
        return _page(
            request,
            (rows.version, _stamp(numbers), state, offered),
            "run.html.j2",
            stored=stored, ran=len(rows), state=state, numbers=numbers, pending=pending, drops=drops,
            maps=suite_maps(rows), most=MOST, flags=offered.get("flag", ()), failed_at=offered.get("stage", ()),
            note=stages.note,
            every=SOON if pending or state == "running" else LATER if state != "finished" else 0,
        )  # fmt: skip

    def episodes(self, request: Request) -> Response:
        """A filtered list of episodes."""
        stored = self._stored(request)
        rows, chosen = stored.index.rows(), Filter.of(request.query_params)
        stages = self._stages.get(stored, rows)
        offered, found = choices(rows, stages), np.flatnonzero(chosen.mask(rows, stages))
        pages = max(1, -(-len(found) // PAGE))
        page = min(_whole(request, "page", 1), pages)
        part = found[(page - 1) * PAGE : page * PAGE]
        state = stored.state(len(rows))
        return _page(
            request,
            (rows.version, state, offered, stages.note),
            "episodes.html.j2",
            stored=stored, filter=chosen, choices=offered, found=len(found), ran=len(rows),
            page=page, pages=pages, stages=stages, several=len(rows.suites) > 1,
            listed=[_listed(rows, stages, int(position)) for position in part],
            every=SOON if state == "running" else LATER if state != "finished" else 0,
        )  # fmt: skip

    def episode(self, request: Request) -> Response:
        """An episode beside its twin."""
        stored = self._stored(request)
        rows, chosen = stored.index.rows(), Filter.of(request.query_params)
        stages = self._stages.get(stored, rows)
        position, view = _position(request, rows), _view(request)
        stage = stage_of(stored, rows, position)
        page = read_episode(stored, rows, position, stage, self._drift.get(stored, rows))
        found = np.flatnonzero(chosen.mask(rows, stages))
        place = int(np.searchsorted(found, position))
        inside = place < len(found) and found[place] == position
        after = place + 1 if inside else place
        return _page(
            request,
            None,
            "episode.html.j2",
            stored=stored, page=page, view=view, views=VIEWS, filter=chosen, id=rows.id(position),
            step=min(_whole(request, "step", 0), page.steps), flip=int(rows.flip[position]),
            place=place + 1 if inside else None, found=len(found),
            stages=stages, definition=DIVERGED,
            previous=rows.id(int(found[place - 1])) if place > 0 else None,
            next=rows.id(int(found[after])) if after < len(found) else None,
            others=[_listed(rows, stages, int(other)) for other in np.flatnonzero(rows.twin == position)[:PAGE]],
            twin=rows.id(int(rows.twin[position])) if rows.twin[position] >= 0 else None,
        )  # fmt: skip

    def clips(self, request: Request) -> Response:
        """Whether the videos of an episode are there; those that are missing are begun."""
        stored = self._stored(request)
        rows = stored.index.rows()
        position, view = _position(request, rows), _view(request)
        twin = int(rows.twin[position])
        arms = [place for place in (twin, position) if place >= 0]
        # The last asked for is made first: of a pair, the episode itself.
        found = [self._clips.get(stored, stored.index.result(rows, place), view) for place in arms]
        return JSONResponse({"arms": [asdict(clip) for clip in found]})

    def clip(self, request: Request) -> Response:
        """A video."""
        path = self._clips.path(request.path_params["key"])
        if path is None:
            return PlainTextResponse("no such video", 404)
        return FileResponse(path, media_type="video/mp4", headers={"Cache-Control": "private, max-age=86400"})

    def compare(self, request: Request) -> Response:
        """Two or more runs of the same episodes."""
        names = list(dict.fromkeys(request.query_params.getlist("run")))
        runs = [self._library.get(name) for name in names]
        stamps = [run.index.stamp() for run in runs]
        return _page(request, (names, stamps), "compare.html.j2", runs=runs, result=compared(runs))

    def static(self, request: Request) -> Response:
        """A style sheet or script."""
        path = FILES.get(request.path_params["name"])
        if path is None:
            return PlainTextResponse("no such file", 404)
        return FileResponse(path, media_type=_TYPES[path.suffix], headers={"Cache-Control": "no-cache"})

    def _stored(self, request: Request) -> StoredRun:
        return self._library.get(request.query_params.get("run", ""))


def _stamp(numbers: Numbers | None) -> Stamp | None:
    return numbers.stamp if numbers else None


def _page(request: Request, about: object, template: str, **values: Any) -> Response:
    """A page; an unchanged one is not made again.

    Args:
        request: the request.
        about: all that the page depends on besides its address; `None` for a page that is always made.
        template: its template.
        values: what it shows.
    """
    if about is None:
        return HTMLResponse(render(template, **values))
    tag = f'"{hashlib.sha256(repr((template, about)).encode()).hexdigest()[:24]}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    return HTMLResponse(render(template, **values), headers={"ETag": tag})


def _listed(rows: Rows, stages: Stages, position: int) -> Listed:
    columns = rows.columns
    before, stage = int(rows.clean_outcome[position]), -1 if stages.codes is None else int(stages.codes[position])
    return Listed(
        id=rows.id(position),
        task=int(columns["task"][position]),
        init_state=int(columns["init_state"][position]),
        repeat=int(columns["repeat"][position]),
        condition=rows.conditions[columns["condition"][position]],
        outcome=OUTCOMES[columns["outcome"][position]],
        before=OUTCOMES[before] if before >= 0 else "",
        flip=int(rows.flip[position]),
        steps=int(columns["steps"][position]),
        flags=rows.flag_sets[columns["flags"][position]],
        stage=stages.names[stage] if stage >= 0 else "",
    )


def _position(request: Request, rows: Rows) -> int:
    id_ = request.query_params.get("id", "")
    position = rows.find(id_)
    if position is None:
        raise ConfigError(f"there is no episode '{shown(id_, 120)}' in this run")
    return position


def _view(request: Request) -> str:
    view = request.query_params.get("view", VIEWS[0])
    if view not in VIEWS:
        raise ConfigError(f"view={shown(view)}: there is no such view{nearest(view, VIEWS)}")
    return view


def _whole(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ConfigError(f"{name}={shown(text)}: not a whole number")
    return max(int(text), default)


def _refused(request: Request, error: Exception) -> Response:
    del request
    return HTMLResponse(render("error.html.j2", text=str(error)), 404)


def _missing(request: Request, error: Exception) -> Response:
    del error
    return HTMLResponse(render("error.html.j2", text=f"there is no page {shown(request.url.path)}"), 404)
