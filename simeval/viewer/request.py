"""What the viewer asks of the process that renders, and what that answers; a line of JSON each."""

import msgspec

from simeval.core.types import EpisodeResult

VIEWS = ("policy", "large")
"""What the policy was shown, and the same scene in larger images."""
LARGE = 512
"""Side of an image of the larger view (px)."""
VERSION = 1
"""Of the videos: another one makes those in the cache out of date."""


class Request(msgspec.Struct, frozen=True):
    """A video to be made.

    Attributes:
        folder: the run.
        episode: the row of the episode, as JSON.
        view: one of `VIEWS`.
        out: the file.
        plugins: files that the user named.
    """

    folder: str
    episode: EpisodeResult
    view: str
    out: str
    plugins: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """A line of the renderer: progress, or with `done` or `error` the end of a request.

    Attributes:
        frames: frames rendered so far.
        done: the file is complete.
        error: why there is none.
        note: what to know about the video.
    """

    frames: int = 0
    done: bool = False
    error: str = ""
    note: str = ""
