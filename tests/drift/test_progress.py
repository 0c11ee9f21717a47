"""What is shown while an audit goes on."""

import io

import pytest
from rich.console import Console

from simeval.drift.progress import AuditOutline, Lines, LiveBar

OUTLINE = AuditOutline("toy: 40 views", ("a note",), rows=40, done=10)


@pytest.mark.parametrize("kind", [LiveBar, Lines])
def test_people_see_the_outline_and_the_count(kind):
    out = io.StringIO()
    progress = kind(Console(file=out, width=60, force_terminal=kind is LiveBar, color_system=None))
    progress.start(OUTLINE)
    progress.advance(10)
    progress.advance(20)
    progress.stop()
    text = out.getvalue()
    assert text.startswith("toy: 40 views\nnote: a note\n")
    assert "40/40 views" in text
    assert len(text.splitlines()) == 3 or kind is LiveBar


def test_an_audit_that_never_started_can_be_stopped():
    LiveBar(Console(file=io.StringIO())).stop()
