"""Is this machine ready for a run? Each check is a small function that examines one point and names the fix.

    python -m simeval.doctor --policy HuggingFaceVLA/smolvla_libero

Non-obvious behaviour:
- Whatever may crash, hang or change this process (OpenGL, torch, Ray) is tried in a separate process, with a limit.
- Only what would make a run fail, or silently worse, is `wrong`; what only costs speed or a download is a `note`.
"""

from simeval.doctor.checks import CHECKS, Request, run_and_print, run_checks
from simeval.doctor.findings import Finding
from simeval.doctor.surroundings import Machine

__all__ = ["CHECKS", "Finding", "Request", "Machine", "run_and_print", "run_checks"]
