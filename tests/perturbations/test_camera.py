"""Camera axes against analytic geometry, and their directions in the policy's own view."""

import cv2
import mujoco
import numpy as np
import pytest
from arenas import apart, begin, build, pictures
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.base import Scene
from perturbations.camera import WRIST_REACH
from perturbations.spec import parse
from simeval.core.seeding import PairStreams

XML = """
<mujoco><worldbody>
  <camera name="agentview" pos="0.9 0.2 1.5" xyaxes="-0.2 1 0 -0.5 -0.1 0.8" fovy="45"/>
  <body name="hand" pos="0.3 -0.2 0.6" euler="10 170 30">
    <freejoint/><geom size="0.1"/>
    <camera name="eye" pos="0.05 0.01 0.02" euler="5 10 -80" fovy="75"/>
  </body>
</worldbody></mujoco>
"""
PIVOT = np.array([0.1, -0.05, 0.9])


def scene() -> Scene:
    return Scene(mujoco.MjModel.from_xml_string(XML), {"agentview": 0, "wrist": 1}, workspace_center=PIVOT)


def written(text: str, seed: int = 0) -> mujoco.MjModel:
    handle = scene()
    parse(text).apply_scene(handle, PairStreams(seed, (1, 2, 3, 4)).generator)
    np.testing.assert_allclose(np.linalg.norm(handle.model.cam_quat, axis=1), 1, atol=1e-12)
    return handle.model


def axes_of(model, camera: int) -> np.ndarray:
    """Rotation matrix of a camera in its body's frame: its right, up and backward directions as columns."""
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, model.cam_quat[camera])
    return matrix.reshape(3, 3)


def in_view(model, camera: int, point: np.ndarray) -> np.ndarray:
    """A point in a camera's own frame."""
    return axes_of(model, camera).T @ (point - model.cam_pos[camera])


def spherical(vector: np.ndarray) -> np.ndarray:
    """Distance, azimuth and elevation (deg)."""
    x, y, z = vector
    return np.array([np.linalg.norm(vector), np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))])


@settings(deadline=None)  # no timing is asserted
@given(st.floats(-90, 90).filter(lambda angle: abs(angle) > 1e-3))
def test_orbit_is_a_circle_about_the_vertical_through_the_pivot(angle):
    before, after = scene().model, written(f"camera.orbit:{angle:.6f}@agentview")
    start, end = (spherical(model.cam_pos[0] - PIVOT) for model in (before, after))
    np.testing.assert_allclose(end[[0, 2]], start[[0, 2]], atol=1e-9)
    np.testing.assert_allclose((end[1] - start[1] - angle + 180) % 360 - 180, 0, atol=1e-5)
    c, s = np.cos(np.radians(round(angle, 6))), np.sin(np.radians(round(angle, 6)))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    np.testing.assert_allclose(after.cam_pos[0], PIVOT + turn @ (before.cam_pos[0] - PIVOT), atol=1e-9)
    np.testing.assert_allclose(axes_of(after, 0), turn @ axes_of(before, 0), atol=1e-9)
    np.testing.assert_allclose(in_view(after, 0, PIVOT), in_view(before, 0, PIVOT), atol=1e-9)


@settings(deadline=None)  # no timing is asserted
@given(st.floats(-30, 35).filter(lambda angle: abs(angle) > 1e-3))
def test_elevate_adds_to_the_elevation_and_to_nothing_else(angle):
    before, after = scene().model, written(f"camera.elevate:{angle:.6f}@agentview")
    start, end = (spherical(model.cam_pos[0] - PIVOT) for model in (before, after))
    np.testing.assert_allclose(end - start, [0, 0, angle], atol=1e-5)
    np.testing.assert_allclose(in_view(after, 0, PIVOT), in_view(before, 0, PIVOT), atol=1e-9)


@pytest.mark.parametrize("factor", [0.5, 1.1, 3])
def test_distance_scales_the_way_to_the_pivot_and_keeps_the_orientation(factor):
    before, after = scene().model, written(f"camera.distance:{factor}")
    np.testing.assert_allclose(in_view(after, 0, PIVOT), factor * in_view(before, 0, PIVOT), atol=1e-12)
    np.testing.assert_array_equal(after.cam_quat, before.cam_quat)
    ahead = before.cam_pos[1] - WRIST_REACH * axes_of(before, 1)[:, 2]
    np.testing.assert_allclose(in_view(after, 1, ahead), [0, 0, -factor * WRIST_REACH], atol=1e-12)


@pytest.mark.parametrize("text", ["camera.orbit:40", "camera.orbit:-90", "camera.elevate:40", "camera.elevate:-30"])
def test_the_wrist_camera_keeps_its_eye_on_the_point_ahead_of_it(text):
    before, after = scene().model, written(text)
    ahead = before.cam_pos[1] - WRIST_REACH * axes_of(before, 1)[:, 2]
    np.testing.assert_allclose(in_view(after, 1, ahead), [0, 0, -WRIST_REACH], atol=1e-12)
    turned = axes_of(before, 1).T @ axes_of(after, 1)
    fixed = 1 if "orbit" in text else 0  # its own upward, or its own sideward direction
    np.testing.assert_allclose(turned[:, fixed], np.eye(3)[fixed], atol=1e-12)
    np.testing.assert_allclose(np.degrees(np.arccos((np.trace(turned) - 1) / 2)), abs(parse(text).terms[0].value))


@pytest.mark.parametrize("camera", [0, 1])
def test_drawn_turns_and_shifts_have_one_direction_for_all_strengths(camera):
    before = scene().model
    turns, shifts = [], []
    for strength in (1, 4, 10):
        turned = axes_of(before, camera).T @ axes_of(written(f"camera.rotate:{strength}"), camera)
        np.testing.assert_allclose(np.degrees(np.arccos((np.trace(turned) - 1) / 2)), strength, atol=1e-6)
        turns.append((turned - turned.T)[[2, 0, 1], [1, 2, 0]] / np.sin(np.radians(strength)))
        after = written(f"camera.shift:{strength}")
        shifts.append((after.cam_pos[camera] - before.cam_pos[camera]) / (strength / 100))
    np.testing.assert_allclose(np.linalg.norm(shifts, axis=1), 1, atol=1e-9)
    np.testing.assert_allclose(turns, [turns[0]] * 3, atol=1e-6)
    np.testing.assert_allclose(shifts, [shifts[0]] * 3, atol=1e-6)
    other = written("camera.shift:1", seed=1)
    assert not np.allclose((other.cam_pos - before.cam_pos)[camera] / 0.01, shifts[0], atol=0.1)


def test_cameras_move_apart_from_each_other():
    before = scene().model
    after = written("camera.shift:5")
    moved = [axes_of(before, k).T @ (after.cam_pos[k] - before.cam_pos[k]) for k in (0, 1)]
    assert not np.allclose(moved[0], moved[1], atol=0.005)
    only = written("camera.shift:5@wrist")
    np.testing.assert_array_equal(only.cam_pos[0], before.cam_pos[0])
    np.testing.assert_array_equal(only.cam_pos[1], after.cam_pos[1])


@pytest.mark.parametrize(("added", "seen"), [(-30, 15), (10, 55), (45, 90)])
def test_fov_is_added(added, seen):
    assert written(f"camera.fov:{added}@agentview").cam_fovy.tolist() == [seen, 75]


@pytest.fixture(scope="module")
def libero():
    env = build("libero_spatial", 0, size=128)
    yield env
    env.close()


def flow(clean: np.ndarray, moved: np.ndarray) -> tuple[float, float]:
    """By how many pixels the content of a picture went to the right and down."""
    grays = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) for picture in (clean, moved)]
    (right, down), _ = cv2.phaseCorrelate(*grays, cv2.createHanningWindow(grays[0].shape[::-1], cv2.CV_32F))
    return right, down


@pytest.mark.parametrize("axis", ["camera.shift:2", "camera.rotate:2"])
@pytest.mark.parametrize(
    ("direction", "sign"), [("left", (1, 0)), ("right", (-1, 0)), ("up", (0, 1)), ("down", (0, -1))]
)
def test_directions_are_those_of_the_view_of_the_policy(axis, direction, sign, libero):
    clean, moved = pictures(libero), pictures(libero, f"{axis}/direction={direction}")
    right, down = flow(clean["agentview"], moved["agentview"])
    along, across = (right, down) if sign[0] else (down, right)
    assert along * sum(sign) > 1
    assert abs(across) < abs(along) / 3


def test_orbit_to_the_left_and_clockwise_turns_in_the_view_of_the_policy(libero):
    env = libero
    clean = pictures(env)["agentview"]
    roll = pictures(env, "camera.rotate:4/direction=clockwise")["agentview"]

    def mismatch(angle):
        """How unlike the clean picture is once it is turned back clockwise by an angle."""
        turn = cv2.getRotationMatrix2D((63.5, 63.5), -angle, 1)
        return np.abs(cv2.warpAffine(roll, turn, (128, 128))[30:98, 30:98].astype(int) - clean[30:98, 30:98]).mean()

    assert mismatch(4) < mismatch(0) < mismatch(-4)
    # A camera that went to the left of the policy's view stands at larger y: the view is a mirror image.
    before = begin(env, "none").scene().model.cam_pos[env.world.cameras["agentview"]].copy()
    after = begin(env, "camera.orbit:10").scene().model.cam_pos[env.world.cameras["agentview"]]
    assert after[1] > before[1]


@pytest.mark.parametrize(
    "text",
    ["camera.orbit:0", "camera.elevate:0deg", "camera.distance:1", "camera.rotate:0", "camera.shift:0", "camera.fov:0"],
)
def test_identities_show_the_very_same_pixels(text, libero):
    assert apart(pictures(libero), pictures(libero, text)) == {"agentview": 0, "wrist": 0}


@pytest.mark.parametrize("camera", ["agentview", "wrist"])
@pytest.mark.parametrize("axis", ["orbit", "elevate", "distance", "rotate", "shift", "fov"])
def test_an_aimed_camera_moves_and_the_other_stays(axis, camera, libero):
    clean = pictures(libero)
    differences = [apart(clean, pictures(libero, f"camera.{axis}:{level}@{camera}")) for level in ("s1", "s3", "s5")]
    other = {"agentview": "wrist", "wrist": "agentview"}[camera]
    assert [d[other] for d in differences] == [0, 0, 0]
    seen = [d[camera] for d in differences]
    assert 0.5 < seen[0] < seen[1] < seen[2]
    assert apart(clean, pictures(libero)) == {"agentview": 0, "wrist": 0}


@pytest.mark.parametrize(
    ("suite", "task", "height"),
    [("libero_object", 0, 0.0), ("libero_10", 0, 0.41), ("libero_10", 2, 0.9), ("libero_10", 5, 0.867)],
)
def test_the_pivot_lies_on_the_surface_and_in_view(suite, task, height):
    """Floor, living room, kitchen and study; the table of libero_spatial is 0.9 m high as the kitchen's."""
    env = build(suite, task)
    begin(env, "none")
    handle = env.scene()
    assert handle.workspace_center[2] == pytest.approx(height)
    x, y, z = in_view(handle.model, handle.cameras["agentview"], handle.workspace_center)
    edge = np.tan(np.radians(handle.model.cam_fovy[handle.cameras["agentview"]] / 2))
    assert z < -0.5
    assert abs(x / z) < 0.1
    assert abs(y / z) < 0.7 * edge
    env.close()
