"""The compiled part of the arm's controller computes the same bits for every processor."""

import json
import os
import subprocess
import sys

import pytest

from envs import numerics

COMPUTE = """
import hashlib, json, re
import numpy as np
from envs.libero import arm_kernels as kernels

rng, total, n, nv = np.random.default_rng(0), hashlib.sha256(), 7, 20
indices = np.arange(n) * 2
def made(*shape, order="C"):
    return np.asarray(rng.normal(0, 30, shape), order=order)
for _ in range(200):
    data = (made(nv), made(nv), made(60), made(4, 3), made(4, 9), made(3, nv), made(3, nv))
    chosen = (2, indices, indices, rng.integers(0, 60, (n, n)))
    readings = (made(3), made(3, 3), made(n), made(n), *(made(rows, n, order="F") for rows in (3, 3, 6, n)))
    kernels.read(data, chosen, readings)
    pulls = (made(3), made(3))
    kernels.pull((made(3), made(3), made(6), made(6)), readings[0], (made(3), made(3)), pulls)
    commands, ctrl = rng.uniform(-1, 1, 2), np.zeros(n + 2)
    limits = np.full(n, 60.0)
    gripper = (commands, 0.01, np.array([n, n + 1]), made(n + 2, 2))
    kernels.drive((made(n), made(nv), made(n)), (indices, np.arange(n), -limits, limits), gripper, ctrl)
    for array in (*readings, *pulls, commands, ctrl):
        total.update(np.ascontiguousarray(array))
code = "".join(text for kernel in (kernels.read, kernels.pull, kernels.drive) for text in kernel.inspect_asm().values())
fused = len(re.findall("vfn?m(?:add|sub)", code))
print(json.dumps({"digest": total.hexdigest(), "fused": fused, "long": "zmm" in code}))
"""


def compiled_anew(cache, **variables):
    dropped = {*numerics.pins(), numerics.VARIABLE, "SIMEVAL_NUMERICS_BEFORE"}
    environment = {name: value for name, value in os.environ.items() if name not in dropped} | variables
    environment["NUMBA_CACHE_DIR"] = str(
        cache
    )  # another one has no code yet, and Numba shows only what it has compiled
    done = subprocess.run([sys.executable, "-c", COMPUTE], capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)


@pytest.mark.skipif(numerics.level() != numerics.LEVEL, reason="pins are for x86-64-v3")
def test_the_controllers_bits_do_not_depend_on_the_instructions_that_it_is_compiled_for(tmp_path):
    pinned = compiled_anew(tmp_path / "pinned")
    assert (pinned["fused"], pinned["long"]) == (0, False), (
        "the level's instructions and no fused ones, on any processor"
    )
    native = {numerics.VARIABLE: "native"}
    host = compiled_anew(tmp_path / "host", **native)
    oldest = compiled_anew(tmp_path / "oldest", **native, NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES="-avx")
    assert host["digest"] == oldest["digest"] == pinned["digest"]


def test_a_torque_that_is_not_a_number_stays_one():
    import numpy as np

    from envs.libero import arm_kernels

    one, ctrl = np.zeros(1), np.zeros(3)
    arm = (np.array([0]), np.array([0]), np.full(1, -1.0), np.full(1, 1.0))
    fingers = (np.array([0.995, -0.995]), 0.01, np.array([1, 2]), np.array([[0, 0], [0, 0.04], [-0.04, 0]]))
    arm_kernels.drive((np.array([np.nan]), one, one), arm, fingers, ctrl)
    assert np.isnan(ctrl[0])
    assert fingers[0].tolist() == [0.985, -0.985]
    np.testing.assert_allclose(ctrl[1:], [0.0397, -0.0397])
