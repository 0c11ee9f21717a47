"""Decodes videos once in another process before this one does: a damaged file can crash FFmpeg's decoder.

The seeks are lerobot's, so the same frames are decoded. Only the death of the process counts: lerobot's own reading
reports all other errors.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from simeval.core.errors import ConfigError

LIMIT = 600.0
"""Seconds for all videos; our choice."""

_PROGRAM = """
import json, sys
import av
for path, times in json.load(sys.stdin):
    print(path, flush=True)
    try:
        with av.open(path) as container:
            stream = container.streams.video[0]
            for time in times:
                container.seek(round(time / stream.time_base) - 1, backward=True, any_frame=False, stream=stream)
                for frame in container.decode(stream):
                    frame.to_ndarray(format="rgb24")
                    if frame.pts is not None and frame.pts * stream.time_base >= time:
                        break
    except Exception:
        pass  # lerobot's own reading meets the same error and names it
"""


def try_videos(frames: Mapping[Path, Sequence[float]], *, name: str) -> None:
    """Decode frames of some videos in another process.

    Args:
        frames: the timestamps (s) to decode, by video file.
        name: of the dataset, for the message.

    Raises:
        ConfigError: a video crashes the decoder, or the time limit is exceeded.
    """
    request = json.dumps([(str(path), list(times)) for path, times in frames.items()])
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _PROGRAM], input=request, capture_output=True, text=True, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"dataset '{name}': its videos take more than {LIMIT:g} s to decode") from None
    if done.returncode < 0:
        path = (done.stdout.splitlines() or ["a video"])[-1]
        raise ConfigError(f"dataset '{name}': {path} is damaged: it crashes the video decoder; copy the file again")
