"""Is this machine ready for a run? Each check is a small function that looks at one thing and says what would mend it.

    python -m simeval.doctor --policy HuggingFaceVLA/smolvla_libero

Non-obvious behaviour:
- Whatever may crash, hang or change this process (OpenGL, torch, Ray) is tried in a process of its own, with a limit.
- Only what would make a run fail, or silently worse, is `wrong`; what merely costs speed or a download is a `note`.
"""

from simeval.doctor.checks import CHECKS, Request, run_and_print, run_checks
from simeval.doctor.findings import Finding
from simeval.doctor.surroundings import Machine

__all__ = ["CHECKS", "Finding", "Request", "Machine", "run_and_print", "run_checks"]
