"""The file of demonstrations, how recordings become one, and the permitted views."""

from dataclasses import replace

import numpy as np
import pytest

from envs.suites import other_goals, tasks
from examples.finetune import collect, views
from examples.finetune.demos import joined, load_demonstrations, save_demonstrations
from perturbations.base import find_axis
from perturbations.spec import parse
from simeval.policies.bundled.demonstrations import STRIDE, Episode, write


def test_a_file_keeps_everything_but_a_little_of_the_images(demonstrations, tmp_path):
    save_demonstrations(demonstrations, tmp_path / "demos.npz")
    read = load_demonstrations(tmp_path / "demos.npz")
    for name in ("states", "actions", "valid", "episodes", "instructions", "conflicts"):
        assert np.array_equal(getattr(read, name), getattr(demonstrations, name)), name
    assert read.texts == demonstrations.texts
    assert read.images.shape == demonstrations.images.shape
    error = read.images.astype(float) - demonstrations.images
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 38, "decibels"
    assert (tmp_path / "demos.npz").stat().st_size < demonstrations.images.nbytes / 20


def test_the_same_frames_give_the_same_file(demonstrations, tmp_path):
    for name in ("a", "b"):
        save_demonstrations(demonstrations, tmp_path / name)
    assert load_demonstrations(tmp_path / "a").sha256 == load_demonstrations(tmp_path / "b").sha256


def test_what_is_no_file_of_demonstrations_is_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere.npz cannot be read"):
        load_demonstrations(tmp_path / "nowhere.npz")
    np.savez(tmp_path / "other.npz", states=np.zeros(3))
    with pytest.raises(ValueError, match=r"other.npz is no file that examples.finetune.collect wrote"):
        load_demonstrations(tmp_path / "other.npz")


def test_every_so_manieth_episode_is_held_out_whole(demonstrations):
    trained, held_out = demonstrations.split(6)
    assert set(demonstrations.episodes[held_out]) == {5, 11, 17, 23}
    assert sorted([*trained, *held_out]) == list(range(len(demonstrations)))
    assert not set(demonstrations.episodes[held_out]) & set(demonstrations.episodes[trained])


def test_two_sets_joined_keep_their_instructions_and_conflicts(demonstrations):
    other = replace(demonstrations, texts=("push to the right", "wait"))
    both = joined([demonstrations, other])
    assert both.texts == ("push to the left", "push to the right", "wait")
    last = len(both) - 1
    assert both.texts[both.instructions[last]] == other.texts[other.instructions[-1]]
    asked = {both.texts[i] for i in np.flatnonzero(both.conflicts[last])}
    assert asked == {other.texts[i] for i in np.flatnonzero(other.conflicts[-1])}
    assert len(set(both.episodes)) == 2 * len(set(demonstrations.episodes))


def recording(folder, suite: str, task: int, number: int, text: str, *, frames: int = 5, edge: int = 128):
    """A recording of numbered steps, at the size of the network."""
    steps = np.arange(frames * STRIDE + 10, dtype=np.float32)
    chunks = np.stack([steps[i * STRIDE : i * STRIDE + 10] for i in range(frames)])
    episode = Episode(
        instruction=text,
        images=np.full((frames, 2, edge, edge, 3), number % 250, np.uint8),
        states=np.zeros((frames, 8), np.float32),
        positions=np.zeros((frames, 6), np.float32),
        actions=np.repeat(chunks[..., None], 7, 2),
        valid=np.ones((frames, 10), bool),
        policy_steps=0,
    )
    write(episode, folder / f"{suite}-{task}-{number:06d}.npz")
    return folder / f"{suite}-{task}-{number:06d}.npz"


def test_recordings_know_which_instructions_conflict(tmp_path):
    """Those of the scene's other goals, and the scene's own where another one was demonstrated."""
    task, others = tasks("libero_object")[0], other_goals("libero_object", 0)
    files = [
        recording(tmp_path, "libero_object", 0, 1, task.instruction),
        recording(tmp_path, "libero_object", 0, 2, others[0].instruction),
    ]
    packed = collect.packed(files)
    for frame, wanted in ((0, task.instruction), (-1, others[0].instruction)):
        assert packed.texts[packed.instructions[frame]] == wanted
        conflicting = {packed.texts[i] for i in np.flatnonzero(packed.conflicts[frame])}
        assert conflicting == {task.instruction, *(other.instruction for other in others)} - {wanted}
    assert packed.episodes.tolist() == [0] * 5 + [1] * 5
    assert len(collect.packed(files, every=2)) == 6


def test_recordings_of_two_sizes_are_refused(tmp_path):
    text = tasks("libero_object")[0].instruction
    files = [recording(tmp_path, "libero_object", 0, number, text, edge=edge) for number, edge in ((1, 128), (2, 256))]
    with pytest.raises(ValueError, match="images of 2 sizes in one folder; choose another --recordings"):
        collect.packed(files)


def test_chunks_of_another_length_are_cut_from_the_whole_episode(tmp_path):
    file = recording(tmp_path, "libero_object", 0, 1, tasks("libero_object")[0].instruction)
    assert collect.STRIDE == STRIDE
    packed = collect.packed([file], chunk=14)
    assert packed.actions[1, :, 0].tolist() == list(range(2, 16))
    assert packed.valid[1].all()
    assert packed.valid[4].tolist() == [True] * 10 + [False] * 4, "the episode has 18 steps"
    assert np.array_equal(collect.packed([file]).actions, np.load(file)["actions"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--suites", "toy"), "no demonstrations for 'toy'; there are libero_spatial"),
        (("--episodes", "0"), "--episodes is 0; it must be at least 1"),
        (("--part", "2"), "--part is '2'; write 0/2"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_recorded(tmp_path, capsys, words, says):
    assert collect.main(["--out", str(tmp_path / "out"), "--recordings", str(tmp_path / "in"), *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert says in said
    assert not (tmp_path / "in").exists()


@pytest.mark.parametrize("seed", range(20))
def test_permitted_changes_are_weaker_than_the_weakest_preset(seed):
    condition = parse(views.permitted_condition(seed))
    assert set(condition.axes) == {"brightness", "noise", "occlusion"}
    for term in condition.terms:
        info = find_axis(term.axis)
        assert abs(term.value - info.identity) < abs(info.presets[0] - info.identity), term


def test_a_view_is_a_function_of_its_seed_and_leaves_its_input_alone(demonstrations):
    frame = demonstrations.images[0]
    before = frame.copy()
    one, same, other = (views.permitted_view(frame, ("agentview", "wrist"), seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert np.array_equal(frame, before)
    assert one.shape == frame.shape
    assert one.dtype == np.uint8
