"""The finding of a check, and how it is printed."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["ok", "note", "wrong"]

SAID_WHY = 3
"""Exit status of a probe whose last line on standard error names the problem and, after a semicolon, the fix."""

NAME_WIDTH = 10
"""Width of the column with the names of the checks."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: name of the check, for instance `gpu`.
        status: `ok`; `note`, information; or `wrong`, a run would fail or be silently worse.
        text: the finding in one line.
        mend: the command or step that fixes it; empty if there is nothing to fix.
    """

    check: str
    status: Status
    text: str
    mend: str = ""


def ok(check: str, text: str) -> Finding:
    """A finding that needs no attention."""
    return Finding(check, "ok", text)


def note(check: str, text: str, mend: str = "") -> Finding:
    """A finding about lost speed or a download, or one that explains another finding."""
    return Finding(check, "note", text, mend)


def failure(check: str, text: str, mend: str) -> Finding:
    """A finding that would make a run fail or silently worse; it always names a fix."""
    return Finding(check, "wrong", text, mend)


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing is wrong."""
    return all(finding.status != "wrong" for finding in findings)


def as_text(finding: Finding) -> str:
    """A finding as a line, and its fix as another."""
    label = "WRONG" if finding.status == "wrong" else finding.status
    text = f"{label:<5}  {finding.check:<{NAME_WIDTH}}  {finding.text}\n"
    return text + (f"{'':<5}  {'':<{NAME_WIDTH}}  -> {finding.mend}\n" if finding.mend else "")


def verdict(findings: Sequence[Finding]) -> str:
    """The last line of the output."""
    bad = sum(finding.status == "wrong" for finding in findings)
    return f"{bad} of {len(findings)} checks found something wrong\n" if bad else "ready\n"


def as_json(findings: Sequence[Finding]) -> str:
    """One JSON object: `healthy` and the `findings`."""
    return json.dumps({"healthy": healthy(findings), "findings": [asdict(finding) for finding in findings]}) + "\n"
