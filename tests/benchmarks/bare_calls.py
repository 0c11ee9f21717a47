"""What an episode cannot do without: MuJoCo's calls, the renderer's and the network's, with nothing between them.

An episode that equals stock LIBERO's to the bit needs the same calls of MuJoCo in the same order. They are recorded and
called again from compiled code, which has to arrive at the same state. Import this in a process with the variables of
`report.environment`: MuJoCo chooses its OpenGL, and NumPy its kernels, when they are imported.
"""

import ctypes
import time
from collections import Counter
from pathlib import Path

import mujoco
import numba
import numpy as np

clock = time.perf_counter
_SKIP_POS_VEL = int(mujoco.mjtStage.mjSTAGE_VEL)


def _function(name: str, *integers: int):
    """A function of MuJoCo's own library for compiled code; addresses as integers, others as said."""
    (library,) = Path(mujoco.__file__).parent.glob("libmujoco.so*")
    function = getattr(ctypes.CDLL(str(library)), name)
    function.restype, function.argtypes = None, [ctypes.c_uint64 if size == 8 else ctypes.c_int32 for size in integers]
    return function


_forward, _skip = _function("mj_forward", 8, 8), _function("mj_forwardSkip", 8, 8, 4, 4)
_jacobian, _euler = _function("mj_jacSite", 8, 8, 8, 8, 4), _function("mj_Euler", 8, 8)
_copy = _function("mj_copyData", 8, 8, 8)


@numba.njit
def _substeps(addresses, site, ctrl, controls, reads):
    model, data, jac_pos, jac_rot = addresses
    for substep in range(len(controls)):
        _forward(model, data)
        if reads[substep]:
            _skip(model, data, _SKIP_POS_VEL, 1)
            _jacobian(model, data, jac_pos, jac_rot, site)
        ctrl[:] = controls[substep]
        _skip(model, data, _SKIP_POS_VEL, 1)
        _euler(model, data)


class Motion:
    """Records the control steps of a LIBERO environment, and calls MuJoCo as they did.

    Attributes:
        seconds: of MuJoCo's calls alone, under `calls`; of parts of the product's steps under their names.
    """

    def __init__(self, env) -> None:
        self.seconds: Counter[str] = Counter()
        self._env, self._world = env, env.world
        self._scratch = mujoco.MjData(self._world.model)
        self._jacobians = np.zeros((2, 3, self._world.model.nv))
        self._run(np.empty((0, self._world.model.nu)), np.empty(0, bool))  # compiles

    def step(self, actions) -> None:
        """Step as the product does, watched, and then by the calls alone."""
        world, arm, controls, reads = self._world, self._world.arm, [], []
        _copy(self._scratch._address, world.model._address, world.data._address)
        apply, functions = arm.apply, arm._functions

        def recorded(action, *, new_goal):
            reads.append(world.env.robots[0].controller.new_update)
            apply(action, new_goal=new_goal)
            controls.append(world.data.ctrl.copy())

        arm.apply = recorded
        arm._functions = (functions[0], self._timed("decompositions", functions[1]), functions[2])
        world.holds = self._timed("predicates", world.holds)
        world.env._post_process = self._timed("predicates", world.env._post_process)
        try:
            self._env.step(actions)
        finally:
            arm._functions = functions
            del arm.apply, world.holds, world.env._post_process
        begin = clock()
        self._run(np.asarray(controls), np.asarray(reads))
        self.seconds["calls"] += clock() - begin
        for name in ("time", "qpos", "qvel", "qacc_warmstart"):
            if not np.array_equal(getattr(self._scratch, name), getattr(world.data, name)):
                raise SystemExit(f"the recorded calls lead to another {name}")

    def _run(self, controls, reads) -> None:
        scratch, (jac_pos, jac_rot) = self._scratch, self._jacobians
        addresses = (self._world.model._address, scratch._address, jac_pos.ctypes.data, jac_rot.ctypes.data)
        _substeps(tuple(map(np.uint64, addresses)), self._world.arm.site, scratch.ctrl, controls, reads)

    def _timed(self, name, function):
        def timed(*words):
            begin = clock()
            answer = function(*words)
            self.seconds[name] += clock() - begin
            return answer

        return timed


def draw(env, cameras) -> float:
    """Seconds in which the renderer alone makes the images of the last observation."""
    world = env.world
    renderer, option = world._renderers._by_size[env.resolution].renderer, world._renderers._option
    begin = clock()
    for camera in cameras:
        renderer.update_scene(world.seen, world.cameras[camera], option)
        renderer.render()
    return clock() - begin


class Network:
    """The forward passes of a lerobot policy, with the tensors that its last chunk was made from."""

    def __init__(self, policy) -> None:
        model = policy._parts.model
        inner = getattr(model, "model", None)
        # SmolVLA's and pi0's network; of other types the whole prediction, with lerobot's own preparations.
        self._owner, self._name = (
            (inner, "sample_actions") if hasattr(inner, "sample_actions") else (model, "predict_action_chunk")
        )
        self._forward, self._last, self._cuda = getattr(self._owner, self._name), None, policy._device == "cuda"
        setattr(self._owner, self._name, self._recorded)

    def _recorded(self, *words, **named):
        self._last = words, named
        return self._forward(*words, **named)

    def again(self) -> float:
        """Seconds of the last forward pass, done again."""
        import torch

        words, named = self._last
        with torch.inference_mode():
            begin = clock()
            self._forward(*words, **named)
            if self._cuda:
                torch.cuda.synchronize()
            return clock() - begin


def network(policy) -> Network | None:
    """The network of a lerobot policy; `None` for other policies."""
    return Network(policy) if hasattr(policy, "_parts") else None
