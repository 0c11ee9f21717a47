"""What an environment returns is held to its contract while an episode runs: none of these is a number in a table."""

import re
from dataclasses import replace

import numpy as np
import pytest
from helpers import roll_out, toy_spec

from envs.base import CAMERAS
from envs.toy.env import ToyEnv
from simeval.core.errors import ConfigError
from simeval.drift.frames.replay import Replay
from simeval.media import video
from simeval.policies.scripted import SeekerPolicy
from simeval.rollout.episode_log import EpisodeLog
from simeval.rollout.rerun import Rerun
from simeval.rollout.trace import TraceRecorder

BLIND = SeekerPolicy()


class Sighted:
    spec = replace(SeekerPolicy.spec, name="sighted", cameras=CAMERAS, n_action_steps=1)

    def __init__(self):
        self.means = []

    def act(self, inputs):
        self.means += [float(np.mean(item.observation.images["wrist"], dtype=float)) for item in inputs]
        return BLIND.act(inputs)


def toy(**methods):
    """The toy scene, some methods of which change what it returns."""

    def wrapped(name, change):
        return lambda self, *args, **named: change(getattr(ToyEnv, name)(self, *args, **named))

    changed = type("Changed", (ToyEnv,), {name: wrapped(name, change) for name, change in methods.items()})
    return changed(0, toy_spec().resolution)


def images(change):
    return toy(observe=lambda seen: replace(seen, images={c: change(i) for c, i in seen.images.items()}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reached": (-0.3,)}, r"reached is \(-0.3,\), not true or false"),
        ({"reached": (None,)}, r"reached is \(None,\)"),
        ({"reached": ()}, r"reached is \(\)"),
        ({"reached": 1.0}, "reached is 1.0"),
        ({"reached": (True, False)}, "each of 1 goals"),
        ({"tracked": (0,)}, "tracked is"),
    ],
)
def test_a_step_that_answers_with_rewards_is_no_success_and_no_failure(change, said):
    env = toy(step=lambda result: replace(result, **change))
    result, _ = roll_out(toy_spec(), env, BLIND)
    assert (result.outcome, result.error_phase) == ("error", "step")
    assert re.search(said, result.error_text)


@pytest.mark.parametrize("kind", [np.float32, np.int64])
def test_states_of_another_type_are_no_rows(kind):
    result, _ = roll_out(toy_spec(), toy(step=lambda r: replace(r, states=r.states.astype(kind))), BLIND)
    assert (result.outcome, result.error_phase) == ("error", "step")
    with pytest.raises(ConfigError, match=r"state is .*not float64"):
        roll_out(toy_spec(), toy(state=lambda state: state.astype(kind)), BLIND)


def test_a_state_that_is_not_finite_ends_the_episode_as_broken():
    result, _ = roll_out(toy_spec(), toy(step=lambda r: replace(r, states=r.states * np.nan)), BLIND)
    assert (result.outcome, result.error_text) == ("error", "EpisodeError: the states of a step are not finite")
    result, _ = roll_out(toy_spec(), toy(observe=lambda s: replace(s, state=s.state * np.float32("nan"))), BLIND)
    assert (result.outcome, result.error_phase) == ("error", "observe")


def test_an_observed_state_of_another_precision_is_the_same_state():
    plain, _ = roll_out(toy_spec(), toy(), Sighted())
    wide, _ = roll_out(toy_spec(), toy(observe=lambda seen: replace(seen, state=seen.state.astype(float))), Sighted())
    assert (wide.outcome, wide.state_digest) == (plain.outcome, plain.state_digest)
    for form in (lambda state: state.tolist(), lambda state: state.astype(int), lambda state: state[:-1]):
        with pytest.raises(ConfigError, match="observed state is"):
            roll_out(toy_spec(), toy(observe=lambda seen, form=form: replace(seen, state=form(seen.state))), Sighted())


@pytest.mark.parametrize(
    "change",
    [
        lambda image: (image / 255).astype(np.float32),
        lambda image: image.astype(np.uint16) * 257,
        lambda image: image.transpose(2, 0, 1),
        lambda image: np.dstack([image, image[..., 0]]),
        lambda image: np.repeat(image, 2, axis=0).repeat(2, axis=1),
        lambda image: image.tolist(),
    ],
    ids=["float", "uint16", "chw", "rgba", "size", "list"],
)
def test_images_of_another_form_are_refused_wherever_they_are_shown(change):
    _, trace = roll_out(toy_spec(), toy(), Sighted())
    for use in (
        lambda env: roll_out(toy_spec(), env, Sighted()),
        lambda env: next(Rerun(env, toy_spec(), trace, CAMERAS).observations()),
        lambda env: Replay.run(env, toy_spec(), trace, looks=1, cameras=CAMERAS).clean(0),
    ):
        with pytest.raises(ConfigError, match=r"image of (agentview|wrist)"):
            use(images(change))


def test_a_camera_that_is_not_shown_is_refused():
    env = toy(observe=lambda seen: replace(seen, images={"agentview": seen.images["agentview"]}))
    with pytest.raises(ConfigError, match="no image of wrist"):
        roll_out(toy_spec(), env, Sighted())


def test_an_environment_that_reuses_its_images_does_not_change_what_was_seen_before():
    store = {}

    def keep(seen):
        for camera, image in seen.images.items():
            store.setdefault(camera, image.copy())[:] = image
        return replace(seen, images={camera: store[camera] for camera in seen.images})

    plain, reusing = Sighted(), Sighted()
    spec = toy_spec(condition="obs.delay:3")
    roll_out(spec, toy(), plain)
    roll_out(spec, toy(observe=keep), reusing)
    assert reusing.means == plain.means


def test_a_trace_keeps_the_start_of_an_environment_that_reuses_its_state():
    state, recorder = np.zeros(3), TraceRecorder()
    recorder.start("text", state)
    state[:] = 7
    assert not recorder.states[0].any()


def test_zero_of_either_sign_is_the_same_start():
    digests = []
    for state in (np.array([0.0, 1.0]), np.array([-0.0, 1.0])):
        log = EpisodeLog(toy_spec())
        log.record_start(state)
        digests.append(log.start_digest)
    assert digests[0] == digests[1]


def test_a_video_is_not_made_of_images_of_another_size():
    _, trace = roll_out(toy_spec(), toy(), BLIND)

    class Scenes:
        def get(self, *_):
            return toy(render=lambda image: image[::2, ::2])

    with pytest.raises(ConfigError, match="96 x 96"):
        next(video.stored_images(toy_spec(), trace, Scenes(), CAMERAS, 96))
