"""Frames of a LeRobotDataset that lerobot itself has written."""

import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import dataset_fixture
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from dataset_fixture import KEYS

from perturbations.spec import parse
from simeval.core.errors import ConfigError
from simeval.drift.frames.from_dataset import PER_EPISODE, DatasetFrames, choose, libero_task
from simeval.drift.frames.lerobot_dataset import Layout
from simeval.policies.base import PolicySpec

POLICY = PolicySpec("somebody's", 8, ("agentview", "wrist"))
CLEAN = parse("none")


def opened(folder, **options) -> DatasetFrames:
    return DatasetFrames.open(str(folder), **{"policy": POLICY, **options})


def refused(folder, **options) -> str:
    with pytest.raises(ConfigError) as caught:
        opened(folder, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600
    return text


def seen(frames: DatasetFrames, condition: str, seed: int = 0, **options):
    return list(frames.views(frames.frames(), parse(condition), seed, **options))


@pytest.fixture(scope="module")
def few(dataset) -> DatasetFrames:
    return opened(dataset, max_frames=12)


def test_all_frames_are_there_as_they_were_recorded(dataset, demonstrations):
    frames = opened(dataset)
    listed = frames.frames()
    assert len(listed) == len({frame.id for frame in listed}) == 120
    assert {frame.source for frame in listed} == {"demo"}
    views = seen(frames, "none")
    for view, (episode, index) in zip(views, [(e, i) for e in range(6) for i in range(20)], strict=True):
        instruction, images, states = demonstrations[episode]
        assert view.frame.id == f"episode {episode}@{index}"
        assert (view.frame.cluster, view.frame.step, view.frame.chunk) == (f"episode {episode}", index, index // 8)
        assert view.request.instruction == instruction
        assert np.array_equal(view.request.observation.state, states[index])
        for camera in KEYS:
            picture = view.request.observation.images[camera]
            assert picture.dtype == np.uint8
            # Upright as the environment showed it, and the right camera's.
            assert np.array_equal(picture, images[camera][index])
        assert (view.mean_abs, view.psnr, view.infeasible) == (0, None, "")


def test_an_instruction_is_found_by_its_index_whatever_the_order_of_the_table(dataset, demonstrations, tmp_path):
    folder = Path(shutil.copytree(dataset, tmp_path / "shuffled"))
    table = pd.read_parquet(folder / "meta" / "tasks.parquet")
    assert len(table) > 1
    table[::-1].to_parquet(folder / "meta" / "tasks.parquet")
    for view in seen(opened(folder), "none"):
        assert view.request.instruction == demonstrations[int(view.frame.cluster.split()[1])][0]


def test_an_index_that_contradicts_the_episode_is_refused(dataset, tmp_path):
    folder = Path(shutil.copytree(dataset, tmp_path / "contradiction"))
    (data,) = (folder / "data").rglob("*.parquet")
    table = pd.read_parquet(data)
    other = table["task_index"].max() - table["task_index"]
    table.assign(task_index=other).to_parquet(data)
    said = refused(folder)
    assert "the task_index" in said
    assert "and meta/episodes says '" in said
    table.assign(task_index=99).to_parquet(data)
    assert "its episodes cannot be read" in refused(folder)  # by lerobot


def test_pictures_stored_upside_down_are_turned(dataset, demonstrations):
    frames = opened(dataset, max_frames=1, layout=Layout(upside_down=True))
    (view,) = seen(frames, "none")
    _, images, _ = demonstrations[int(view.frame.cluster.split()[1])]
    assert np.array_equal(view.request.observation.images["wrist"], images["wrist"][view.frame.step][::-1, ::-1])
    assert frames.identity["sha256"] != opened(dataset, max_frames=1).identity["sha256"]


def test_videos_are_read_too(demonstrations, tmp_path):
    folder = dataset_fixture.write(tmp_path / "videos", demonstrations[:2], video=True)
    assert list(folder.rglob("*.mp4"))
    for view in seen(opened(folder, max_frames=6), "none"):
        _, images, _ = demonstrations[int(view.frame.cluster.split()[1])]
        for camera in KEYS:
            stored = images[camera][view.frame.step].astype(float)
            found = view.request.observation.images[camera].astype(float)
            # Nearer to its own picture than to any other one of the episode.
            errors = [np.abs(found - other).mean() for other in images[camera].astype(float)]
            assert int(np.argmin(errors)) == view.frame.step
            assert np.abs(found - stored).mean() < 3


def test_frames_are_spread_over_episodes_and_time(few):
    per_episode = Counter(frame.cluster for frame in few.frames())
    assert len(few.frames()) == 12
    assert set(per_episode.values()) == {PER_EPISODE}
    steps = [frame.step for frame in few.frames()][:PER_EPISODE]
    assert list(np.diff(steps)) == [5, 5, 5]


def test_the_choice_is_a_function_of_the_frame_seed(dataset, few):
    again, other = opened(dataset, max_frames=12), opened(dataset, max_frames=12, frame_seed=1)
    assert again.identity == few.identity
    assert again.frames() == few.frames()
    assert other.frames() != few.frames()
    json.dumps(few.identity)


@pytest.mark.parametrize(("lengths", "most"), [((1, 1, 1), 2), ((1, 50), 20), ((5,), 9), ((3, 2, 30, 1), 12)])
def test_short_episodes_give_what_they_have(lengths, most):
    for seed in range(20):
        chosen = choose(dict(enumerate(lengths)), most, seed)
        assert len(chosen) == len(set(chosen)) == min(most, sum(lengths))
        assert all(0 <= index < lengths[episode] for episode, index in chosen)
        assert list(chosen) == sorted(chosen)


def test_many_episodes_give_few_frames_each():
    chosen = choose(dict.fromkeys(range(500), 150), 120, 0)
    assert set(Counter(episode for episode, _ in chosen).values()) == {PER_EPISODE}
    episodes = sorted({episode for episode, _ in chosen})
    assert len(episodes) == 120 // PER_EPISODE
    assert max(np.diff(episodes)) - min(np.diff(episodes)) <= 1


def test_only_some_episodes(dataset):
    frames = opened(dataset, max_frames=8, episodes="1,4-5")
    assert {frame.cluster for frame in frames.frames()} <= {"episode 1", "episode 4", "episode 5"}
    assert "0..5" in refused(dataset, episodes="6")


def test_a_picture_perturbation_touches_its_cameras_only(few):
    for clean, both, wrist in zip(
        seen(few, "none"), seen(few, "brightness:0.5"), seen(few, "brightness:0.5@wrist"), strict=True
    ):
        before, dark, aimed = (view.request.observation.images for view in (clean, both, wrist))
        assert all(dark[camera].mean() < before[camera].mean() for camera in KEYS)
        assert np.array_equal(aimed["agentview"], before["agentview"])
        assert np.array_equal(aimed["wrist"], dark["wrist"])
        assert both.mean_abs > wrist.mean_abs > 0
        assert both.psnr is not None
        assert both.request.noise_seed == clean.request.noise_seed
        assert both.request.instruction == clean.request.instruction


def test_the_state_is_perturbed(few):
    clean, noisy = seen(few, "none")[0].request, seen(few, "proprio.noise:1")[0].request
    assert not np.array_equal(clean.observation.state, noisy.observation.state)
    assert np.array_equal(clean.observation.images["wrist"], noisy.observation.images["wrist"])


def test_an_occluder_has_one_place_for_all_strengths(few):
    for seed in (0, 1):
        for small, large, clean in zip(
            seen(few, "occlusion:0.1", seed), seen(few, "occlusion:0.3", seed), seen(few, "none", seed), strict=True
        ):
            original = clean.request.observation.images["agentview"]
            hidden = [(v.request.observation.images["agentview"] != original).any(-1) for v in (small, large)]
            assert hidden[0].any()
            assert not (hidden[0] & ~hidden[1]).any()
    places = {view.request.observation.images["agentview"].tobytes() for view in seen(few, "occlusion:0.3", 0)}
    assert places.isdisjoint(v.request.observation.images["agentview"].tobytes() for v in seen(few, "occlusion:0.3", 1))


def test_sampling_noise_belongs_to_frame_and_seed(few):
    noise = {
        (seed, floor): [view.request.noise_seed for view in seen(few, "none", seed, floor=floor)]
        for seed in (0, 1)
        for floor in (False, True)
    }
    everything = [number for numbers in noise.values() for number in numbers]
    assert len(set(everything)) == len(everything) == 48
    assert noise[0, False] == [view.request.noise_seed for view in seen(few, "instruction:empty+noise:0.1", 0)]


def test_the_order_of_questions_changes_nothing(few):
    forwards = seen(few, "noise:0.2")
    backwards = list(few.views(few.frames()[::-1], parse("noise:0.2"), 0))[::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert np.array_equal(one.request.observation.images["wrist"], other.request.observation.images["wrist"])


def test_a_counterfactual_is_what_another_episode_was_told(few, demonstrations):
    known = {instruction for instruction, _, _ in demonstrations}
    assert len(known) == 3
    told = {
        seed: [view.request.instruction for view in seen(few, "instruction:counterfactual", seed)] for seed in (0, 1)
    }
    for texts in told.values():
        for text, view in zip(texts, seen(few, "none"), strict=True):
            assert text in known - {view.request.instruction}
    assert told[0] != told[1]
    assert told[0] == [view.request.instruction for view in seen(few, "instruction:counterfactual", 0)]
    assert [view.request.instruction for view in seen(few, "instruction:empty")] == [""] * 12


@pytest.mark.parametrize("kind", ["paraphrase", "mismatch", "lang:de"])
def test_kinds_of_instruction_that_need_a_task_find_it_by_its_words(few, kind):
    assert few.unsupported_reason(parse(f"instruction:{kind}")) == ""
    for view in seen(few, f"instruction:{kind}"):
        assert view.request.instruction not in few.texts
        assert not view.infeasible


@pytest.fixture(scope="module")
def strange(tmp_path_factory) -> DatasetFrames:
    """No LIBERO tasks: one instruction for all."""
    episodes = dataset_fixture.gray(["fold the towel", "fold the towel"])
    return opened(dataset_fixture.write(tmp_path_factory.mktemp("datasets") / "strange", episodes))


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("instruction:counterfactual", "all episodes have the same instruction"),
        ("instruction:counterfactual+noise:0.1", "all episodes have the same instruction"),
        ("instruction:mismatch", "no mismatch instruction exists"),
        ("instruction:lang:de", "not been translated"),
        ("light:0.3", "cannot be rendered again"),
        ("camera.orbit:10", "cannot be rendered again"),
        ("mass:2", "a frame holds still"),
        ("obs.delay:2", "a frame is one moment"),
        ("action.noise:0.1", "not what the policy predicts"),
        ("freeze:0.5", "was seen before"),
        ("proprio.freeze:0.5", "was seen before"),
        ("occlusion:0.2/target=plate_1", "'plate_1'"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_says_why(strange, condition, why):
    assert why in strange.unsupported_reason(parse(condition))


@pytest.mark.parametrize(
    "condition",
    ["none", "instruction:original", "instruction:empty", "instruction:typo:0.1", "instruction:case", "noise:0.1",
     "occlusion:0.2", "proprio.zero:1", "light:1", "mass:1", "instruction:negation"],
)  # fmt: skip
def test_what_can_be_seen_needs_no_task(strange, condition):
    assert strange.unsupported_reason(parse(condition)) == ""
    for view in seen(strange, condition):
        assert view.infeasible == ""
        assert (view.request.instruction == "fold the towel") == (
            not condition.startswith("instruction:") or "orig" in condition
        )


def test_a_dataset_may_be_half_of_libero(tmp_path):
    """A condition that some frames cannot show is shown on the others, and those say why not."""
    text = "pick up the black bowl on the stove and place it on the plate"
    assert libero_task(text) is not None
    frames = opened(dataset_fixture.write(tmp_path / "half", dataset_fixture.gray(["fold the towel", text])))
    assert frames.unsupported_reason(parse("instruction:lang:de")) == ""
    by_episode = {view.frame.cluster: view for view in seen(frames, "instruction:lang:de")}
    assert "not been translated" in by_episode["episode 0"].infeasible
    assert by_episode["episode 0"].request.instruction == "fold the towel"
    assert by_episode["episode 1"].infeasible == ""


def altered(dataset: Path, tmp_path: Path, **values) -> Path:
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    info = copy / "meta" / "info.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), **values}))
    return copy


def features(dataset: Path) -> dict:
    return json.loads((dataset / "meta" / "info.json").read_text())["features"]


def test_there_has_to_be_a_dataset(tmp_path):
    assert "NAME/NAME" in refused(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists(), "lerobot would have made it"
    (tmp_path / "empty").mkdir()
    assert "it has no meta/info.json" in refused(tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_hub_dataset_needs_the_hub():
    assert "pass the folder" in refused("HuggingFaceVLA/libero")


def test_a_hub_dataset_that_was_downloaded_needs_no_hub(dataset, tmp_path, monkeypatch):
    from lerobot.utils import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "datasets--somebody--demonstrations"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    shutil.copytree(dataset, cached / "snapshots" / commit)
    monkeypatch.setattr(constants, "HF_LEROBOT_HUB_CACHE", tmp_path)
    found = opened("somebody/demonstrations", max_frames=3)
    assert (found.identity["dataset"], found.identity["commit"]) == ("somebody/demonstrations", commit)
    assert found.identity["sha256"] == opened(dataset, max_frames=3).identity["sha256"]
    assert "pass the folder" in refused("somebody/demonstrations", revision="v2.9")


def test_other_versions_are_refused(dataset, tmp_path):
    text = refused(altered(dataset, tmp_path, codebase_version="v2.1"))
    assert "v2.1" in text
    assert "convert_dataset_v21_to_v30" in text


def test_a_revision_is_for_the_hub(dataset):
    assert "only hub datasets" in refused(dataset, revision="v3.0")


def test_both_cameras_have_to_be_there(dataset, tmp_path):
    there = features(dataset)
    text = refused(altered(dataset, tmp_path, features={k: v for k, v in there.items() if k != KEYS["wrist"]}))
    assert "'wrist'" in text
    assert KEYS["agentview"] in text
    assert "--camera-keys wrist=KEY" in text
    one_eyed = PolicySpec("one-eyed", 8, ("agentview",))
    views = seen(opened(dataset, policy=one_eyed, max_frames=2), "brightness:0.5")
    assert [set(view.request.observation.images) for view in views] == [{"agentview"}] * 2


def test_an_unclear_camera_is_asked_for(tmp_path):
    keys = {"agentview": "observation.images.kitchen", "wrist": "observation.images.left_wrist"}
    folder = dataset_fixture.write(tmp_path / "unclear", dataset_fixture.gray(["fold"]), keys=keys)
    assert "--camera-keys agentview=KEY" in refused(folder)
    layout = Layout.parse("agentview=observation.images.kitchen")
    assert dict(opened(folder, layout=layout).identity["cameras"]) == keys
    assert "it has the images" in refused(folder, layout=Layout.parse("agentview=observation.images.attic"))
    with pytest.raises(ConfigError, match="no camera 'wirst'; did you mean 'wrist'"):
        Layout.parse("wirst=observation.images.left_wrist")
    with pytest.raises(ConfigError, match="agentview=KEY,wrist=KEY"):
        Layout.parse("agentview")


def test_two_cameras_that_could_be_meant_are_named(dataset, tmp_path):
    there = features(dataset)
    double = {**there, "observation.images.hand": there[KEYS["wrist"]]}
    text = refused(altered(dataset, tmp_path, features=double))
    assert f"{KEYS['wrist']} and observation.images.hand could be" in text


def test_a_state_of_eight_numbers_is_needed(tmp_path):
    seven = dataset_fixture.write(tmp_path / "seven", dataset_fixture.gray(["fold"], state_size=7))
    assert "shape [7]" in refused(seven)
    named = dataset_fixture.write(tmp_path / "named", dataset_fixture.gray(["fold"]), state_key="state")
    assert len(opened(named).frames()) == 3


def test_an_incomplete_folder_is_not_completed_from_elsewhere(dataset, tmp_path):
    copy = altered(dataset, tmp_path)
    for file in (copy / "data").rglob("*.parquet"):
        file.unlink()
    assert "is incomplete: data has no .parquet file; copy the whole folder again" in refused(copy)
    shutil.rmtree(copy / "meta" / "episodes")
    assert "is incomplete: meta/episodes is missing" in refused(copy)


def test_a_policy_that_sees_the_simulator_is_refused(dataset):
    assert "simulator's state" in refused(dataset, policy=PolicySpec("expert", 8, (), privileged=True))


def test_nothing_is_left_behind(dataset, tmp_path, monkeypatch):
    """The `datasets` library would leave a copy of all pictures in the user's cache."""
    import datasets

    scratch, cache = tmp_path / "scratch", tmp_path / "cache"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    frames = opened(dataset, max_frames=3)
    assert list(scratch.iterdir()) == []
    assert not cache.exists()
    assert cache == datasets.config.HF_DATASETS_CACHE
    assert len(seen(frames, "noise:0.1")) == 3


@pytest.mark.parametrize("part", ["data", "meta/episodes"])
def test_a_damaged_schema_is_one_line_and_nothing_is_logged_beside_it(dataset, tmp_path, part, capfd, caplog):
    """The `datasets` library logs what it raises, on a handler of its own and on the root's."""
    copy = altered(dataset, tmp_path)
    for file in (copy / part).rglob("*.parquet"):
        content = bytearray(file.read_bytes())
        start = content.index(b"ARROW:schema") + 40  # inside its base64 text
        content[start : start + 8] = b"!" * 8
        file.write_bytes(content)
    assert "be read" in refused(copy)
    assert capfd.readouterr().err == ""
    assert caplog.text == ""


def test_states_in_millimetres_have_a_note_or_are_refused(demonstrations, tmp_path):
    scaled = [(text, images, 1000 * states) for text, images, states in demonstrations]
    folder = dataset_fixture.write(tmp_path / "mm", scaled)
    (note,) = opened(folder).notes
    assert "of its state is 1.1" in note
    assert "other units" in note
    trained = PolicySpec("trained", 8, ("agentview", "wrist"), state_limits=((-7.0, 7.0),) * 8)
    assert "trained on -7 to 7; it has other units" in refused(folder, policy=trained)


@pytest.mark.parametrize(("kept", "found"), [(0, "none of them"), (7, "only 7 of them")])
def test_an_episode_without_its_rows_is_named(dataset, tmp_path, kept, found):
    folder = shutil.copytree(dataset, tmp_path / "part")
    (path,) = (folder / "data").rglob("*.parquet")
    table = pq.read_table(path)
    episodes, frames = (np.asarray(table.column(name)) for name in ("episode_index", "frame_index"))
    pq.write_table(table.filter((episodes != 1) | (frames < kept)), path)
    line = refused(folder)
    assert f"is incomplete: episode 1 has 20 frames by meta/episodes, and data has {found}; copy the whole" in line
    assert "huggingface" not in line
    assert len(opened(folder, episodes="0,2-5").frames()) == 100
