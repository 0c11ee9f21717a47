"""The client of openpi's protocol against stubs: what a sound server gets, and what the policy object promises."""

import pickle
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from helpers import toy_spec
from policy_servers import HORIZON, Stub, chunk_for, given, serving, sound

from simeval.core.errors import ConfigError, EpisodeError
from simeval.policies.remote.channel import Limits
from simeval.policies.remote.load import check, described, load
from simeval.runner.worker import EpisodeWorker, WorkerSetup

QUICK = Limits(connect_s=2, start_s=0.2, wait_s=1.0, answer_s=2, first_answer_s=5)


def facts(policy) -> dict:
    return dict(policy.spec.fingerprint)


def test_a_sound_server_is_introduced_and_asked():
    with serving(Stub(metadata={"robot": "panda"})) as stub:
        policy = load(stub.url, limits=QUICK)
        assert stub.connections == 1
        (chunk,) = policy.act([given()])
        policy.close()
    assert policy.spec.name == stub.url
    assert policy.spec.n_action_steps == 5
    assert policy.spec.cameras == ("agentview", "wrist")
    assert policy.report.repeatable
    assert [line.partition(";")[0] for line in described(policy)][1:] == [
        "repeatable",
        "convention openpi_libero: cameras agentview, wrist, state position, axis_angle, fingers, 5 actions of "
        "a chunk are executed",
    ]
    assert described(policy)[0].startswith(f"{stub.url} answers: chunks of 10 actions, ")
    assert facts(policy)["url"] == stub.url
    assert facts(policy)["probe"] == policy.report.digest
    assert facts(policy)["convention"] == "openpi_libero"
    assert (chunk.dtype, chunk.shape) == (np.float32, (HORIZON, 7))
    assert chunk.tobytes() == chunk_for(stub.requests[-1]).tobytes()
    request = stub.requests[-1]
    assert set(request) == {"observation/image", "observation/wrist_image", "observation/state", "prompt"}
    assert request["observation/image"].shape == (224, 224, 3)
    assert request["observation/state"].dtype == np.float64
    assert request["prompt"] == "open the drawer"


def test_several_inputs_are_answered_in_order():
    with serving(Stub()) as stub:
        policy = load(stub.url, limits=QUICK)
        one, two = policy.act([given(1), given(2)])
        assert one.tobytes() == policy.act([given(1)])[0].tobytes()
        assert two.tobytes() == policy.act([given(2)])[0].tobytes()
        assert stub.connections == 2
        policy.close()
    assert one.tobytes() != two.tobytes()


def test_a_pickled_policy_opens_its_own_connection():
    with serving(Stub()) as stub:
        policy = load(stub.url, limits=QUICK)
        expected = policy.act([given()])[0]
        before, copies = stub.connections, [pickle.loads(pickle.dumps(policy)) for _ in range(3)]
        assert stub.connections == before
        chunks = []
        threads = [threading.Thread(target=lambda p=p: chunks.append(p.act([given()])[0])) for p in copies]
        [thread.start() for thread in threads]
        [thread.join(10) for thread in threads]
        assert stub.connections == before + 3
        assert [chunk.tobytes() for chunk in chunks] == [expected.tobytes()] * 3
        [one.close() for one in (policy, *copies)]


def test_the_key_is_sent_and_is_not_in_the_spec(monkeypatch):
    monkeypatch.setenv("SIMEVAL_API_KEY", "s3cret")
    with serving(Stub()) as stub:
        policy = load(stub.url, limits=QUICK)
    assert stub.headers[0]["authorization"] == "Api-Key s3cret"
    assert "s3cret" not in repr(policy.spec)


def test_a_lost_connection_is_opened_again_and_the_request_repeated():
    with serving(Stub()) as stub:
        policy = load(stub.url, limits=QUICK)
        expected = policy.act([given()])[0]
    with serving(Stub(), stub.port):
        assert policy.act([given()])[0].tobytes() == expected.tobytes()
        policy.close()


def test_a_server_that_starts_again_is_waited_for():
    with serving(Stub()) as stub:
        policy = load(stub.url, limits=replace(QUICK, wait_s=10))
        expected = policy.act([given()])[0]
    again = threading.Event()

    def later() -> None:
        again.wait(0.4)
        with serving(Stub(), stub.port):
            again.wait(10)

    thread = threading.Thread(target=later)
    thread.start()
    assert policy.act([given()])[0].tobytes() == expected.tobytes()
    policy.close()
    again.set()
    thread.join(10)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (Stub(metadata={"checkpoint": 2}), "its metadata are others"),
        (Stub(answer=lambda request: {"actions": chunk_for(request, 0.3)}), "answers the probe differently"),
        (Stub(answer=lambda request: {"actions": chunk_for(request)[:5]}), "answers the probe differently"),
    ],
)
def test_another_model_after_a_restart_stops_the_run(changed, reason):
    with serving(Stub()) as stub:
        policy = load(stub.url, limits=QUICK)
        policy.act([given()])
    with serving(changed, stub.port), pytest.raises(ConfigError) as error:
        policy.act([given()])
    assert "another model than at the start of this run" in str(error.value)
    assert reason in str(error.value)


def test_another_model_has_another_identity():
    with serving(Stub()) as stub:
        first = load(stub.url, limits=QUICK)
        assert facts(load(stub.url, limits=QUICK)) == facts(first)
        assert facts(load(stub.url, limits=QUICK, convention="simeval", n_action_steps=5)) != facts(first)
    for other in (Stub(metadata={"a": 1}), Stub(answer=lambda request: {"actions": chunk_for(request, 1e-6)})):
        with serving(other, stub.port):
            assert facts(load(stub.url, limits=QUICK)) != facts(first)


def test_a_server_that_samples_is_not_repeatable_and_its_identity_holds_no_answer(caplog):
    noise = np.random.default_rng(0)

    def answer(request):
        return {"actions": chunk_for(request) + noise.normal(0, 0.1, (HORIZON, 7)).astype(np.float32)}

    with serving(Stub(answer=answer)) as stub:
        policy, again = load(stub.url, limits=QUICK), load(stub.url, limits=QUICK)
        assert len(policy.act([given()])) == 1
        policy.close()
    assert not policy.report.repeatable
    assert 0.05 < policy.report.noise_floor < 0.2
    assert facts(policy) == facts(again)
    assert "probe" not in facts(policy)
    assert "not repeatable, noise floor 0.1" in caplog.text


def test_the_noise_seed_travels_only_if_it_is_announced():
    def answer(request):
        rng = np.random.default_rng(request.get("noise_seed"))
        return {"actions": chunk_for(request) + rng.normal(0, 0.1, (HORIZON, 7)).astype(np.float32)}

    with serving(Stub(answer=answer, metadata={"noise_seed": True})) as stub:
        policy = load(stub.url, limits=QUICK)
        one, same, other = (policy.act([given(noise_seed=seed)])[0] for seed in (2**62, 2**62, 3))
        policy.close()
    assert policy.report.repeatable
    assert facts(policy)["noise"] == "seeded"
    assert one.tobytes() == same.tobytes() != other.tobytes()
    with serving(Stub()) as stub:
        load(stub.url, limits=QUICK)
    assert "noise_seed" not in stub.requests[0]


def test_simeval_serve_gets_the_images_as_rendered_and_gives_its_spec():
    spec = {
        "name": "smolvla",
        "n_action_steps": 7,
        "cameras": ["agentview"],
        "state_std": [0.1] * 8,
        "state_limits": [[-1, 1.5]] * 8,
    }
    with serving(Stub(metadata={"simeval": 1, "noise_seed": True, "spec": spec})) as stub:
        policy = load(stub.url, limits=QUICK)
        observation = given()
        policy.act([observation])
        policy.close()
    assert (policy.spec.name, policy.spec.n_action_steps, policy.spec.cameras) == ("smolvla", 7, ("agentview",))
    assert policy.spec.state_std == (0.1,) * 8
    assert policy.spec.state_limits == ((-1.0, 1.5),) * 8
    assert policy.spec.action_std is None
    request = stub.requests[-1]
    assert request["observation/image"].tobytes() == observation.observation.images["agentview"].tobytes()
    assert request["observation/state"].tobytes() == observation.observation.state.tobytes()
    assert {key: request[key] for key in ("pair_id", "chunk_index", "step", "noise_seed")} == {
        "pair_id": "pair",
        "chunk_index": 2,
        "step": 5,
        "noise_seed": 2**62,
    }


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("x", "spec is x, not a map"),
        ({"n_action_steps": 0}, "n_action_steps is 0"),
        ({"cameras": ["front"]}, "not of agentview, wrist"),
        ({"state_std": [1.0]}, "not 8 numbers"),
        ({"action_limits": [[0, 1, 2]] * 7}, "not 7 pairs of numbers"),
    ],
)
def test_a_malformed_announcement_is_refused(spec, reason):
    with serving(Stub(metadata={"simeval": 1, "spec": spec})) as stub, pytest.raises(ConfigError, match=reason):
        load(stub.url, limits=QUICK)


@pytest.mark.parametrize(
    "form",
    [
        lambda chunk: chunk,
        lambda chunk: chunk[None],
        lambda chunk: {"actions": chunk[None]},
        lambda chunk: {"actions": chunk.tolist()},
        lambda chunk: {"actions": chunk.astype(np.float64), "server_timing": {"infer_ms": 1.0}},
        lambda chunk: {b"actions": chunk},
    ],
)
def test_forms_of_an_answer(form):
    with serving(Stub(answer=lambda request: form(chunk_for(request)))) as stub:
        policy = load(stub.url, limits=QUICK)
        (chunk,) = policy.act([given()])
        policy.close()
    assert chunk.tobytes() == chunk_for(stub.requests[-1]).tobytes()


def test_a_server_with_sessions_gets_one_per_episode():
    def answer(request):
        return {"status": "reset successful"} if request.get("endpoint") == "reset" else chunk_for(request)

    with serving(Stub(answer=answer, metadata={"needs_session_id": True})) as stub:
        policy = load(stub.url, limits=QUICK)
        stub.requests.clear()
        for index in (0, 1, 0, 1):
            policy.act([given(chunk_index=index)])
        policy.close()
    sessions = [request["session_id"] for request in stub.requests if request.get("prompt") == "open the drawer"]
    assert sessions[0] == sessions[1] != sessions[2] == sessions[3]
    assert [request["session_id"] for request in stub.requests if "endpoint" in request][1:] == sessions[::2]


@pytest.mark.parametrize(
    ("answer", "warning"),
    [
        (lambda request: np.full((10, 7), -0.5, np.float32), "does not change with the image"),
        (lambda request: np.full((10, 7), -0.5, np.float32), "does not change with the instruction"),
        (
            lambda request: chunk_for(request) * [1, 1, 1, 1, 1, 1, -1],
            "its gripper never opens (from 1 to 1; by convention openpi_libero -1 is open",
        ),
        (
            lambda request: chunk_for(request) * [1, 1, 1, 1, 1, 1, 4],
            "its gripper goes beyond open and closed",
        ),
        (lambda request: np.abs(chunk_for(request)) * [1, 1, 1, 1, 1, 1, 0], "its gripper never opens (from 0 to 0"),
        (lambda request: chunk_for(request) * [1, 1, 40, 1, 1, 1, 1], "far outside [-1, 1]"),
    ],
)
def test_what_the_probe_doubts_is_said(answer, warning, caplog):
    with serving(Stub(answer=answer)) as stub:
        load(stub.url, limits=QUICK)
    assert any(warning in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("space", ["joint_position", "cartesian_position"])
def test_a_server_whose_actions_are_poses_is_refused(space):
    with (
        serving(Stub(metadata={"action_space": space})) as stub,
        pytest.raises(ConfigError, match=f"its action space is '{space}', and the environments take changes"),
    ):
        load(stub.url, limits=QUICK)


@pytest.mark.parametrize(
    ("metadata", "warning"),
    [
        ({"n_external_cameras": 2}, "it wants 2 external cameras, and convention openpi_libero sends fewer"),
        ({"action_dim": 8}, "it announces actions of 8 numbers, and the environments take 7"),
        ({"n_external_cameras": 1, "needs_wrist_camera": True, "action_dim": 7, "action_space": "x"}, None),
    ],
)
def test_metadata_that_contradict_the_convention_are_said(metadata, warning, caplog):
    with serving(Stub(metadata=metadata)) as stub:
        load(stub.url, limits=QUICK)
    texts = [record.getMessage() for record in caplog.records]
    assert texts == ([] if warning is None else [f"simeval: {stub.url}: {warning}; see --convention"])


def test_a_message_that_nobody_asked_for_shifts_no_answer():
    def twice(request, connection):
        if request["prompt"] == "stutter":
            Stub.send(connection, sound(request))

    with serving(Stub(fault=twice)) as stub:
        policy = load(stub.url, limits=QUICK)
        policy.act([given(instruction="stutter")])
        time.sleep(0.2)  # the second message arrives
        with pytest.raises(EpisodeError, match="it sent a message that nobody asked for"):
            policy.act([given(1)])
        (chunk,) = policy.act([given(2)])
        policy.close()
    assert chunk.tobytes() == chunk_for(stub.requests[-1]).tobytes()


def test_a_slow_server_is_said_to_be_waited_for(caplog, monkeypatch):
    monkeypatch.setattr("simeval.policies.remote.load._SLOW_S", 0.05)
    with serving(Stub(fault=lambda request, connection: time.sleep(0.1))) as stub:
        load(stub.url, limits=QUICK)
    assert [record.getMessage() for record in caplog.records] == [
        f"simeval: waiting for {stub.url}; a model that is compiled first may take up to "
        f"{QUICK.first_answer_s:g} s for its first answer"
    ]


def test_a_sound_server_raises_no_doubt(caplog):
    with serving(Stub()) as stub:
        load(stub.url, limits=QUICK)
    assert not caplog.records


def test_the_number_of_executed_actions_must_fit_the_chunk():
    with serving(Stub()) as stub:
        assert load(stub.url, n_action_steps=10, limits=QUICK).spec.n_action_steps == 10
        with pytest.raises(ConfigError, match="its chunks have 10 actions, and --n-action-steps asks for 11"):
            load(stub.url, n_action_steps=11, limits=QUICK)
    with (
        serving(Stub(answer=lambda request: chunk_for(request)[:3])) as stub,
        pytest.raises(ConfigError, match="its chunks have 3 actions, and convention openpi_libero asks for 5"),
    ):
        load(stub.url, limits=QUICK)


def test_a_server_that_stays_away_stops_the_run_at_last():
    with serving(Stub()) as stub:
        policy = load(stub.url, limits=replace(QUICK, wait_s=0.2))
        policy.act([given()])
    for _ in range(2):
        with pytest.raises(EpisodeError, match="cannot connect: Connection refused"):
            policy.act([given()])
    with pytest.raises(ConfigError, match=r"3 requests in a row found no server .*start it again, then resume"):
        policy.act([given()])


def test_a_failing_server_gives_error_rows_and_the_run_goes_on():
    failing = threading.Event()
    with serving(Stub(fault=lambda request, connection: "CUDA out of memory" if failing.is_set() else None)) as stub:
        worker = EpisodeWorker(WorkerSetup(load(stub.url, limits=QUICK), None, "none"))
        failing.set()
        broken = worker.run(toy_spec()).result
        failing.clear()
        sound = worker.run(toy_spec(max_steps=20)).result
        assert worker.facts().policy.fingerprint
    assert broken.outcome == "error"
    assert broken.error_text.endswith(f"{stub.url}: the server failed: CUDA out of memory")
    assert sound.outcome == "failure"


def test_a_slow_episode_is_stopped_and_its_connection_given_up():
    slow = threading.Event()
    hang = threading.Event()

    def fault(request, connection):
        if slow.is_set():
            hang.wait(1.5)

    with serving(Stub(fault=fault)) as stub:
        policy = load(stub.url, limits=QUICK)
        worker = EpisodeWorker(WorkerSetup(policy, None, "none", timeout=1.0))
        slow.set()
        late = worker.run(toy_spec()).result
        slow.clear()
        hang.set()
        assert policy.act([given()])[0].tobytes() == chunk_for(stub.requests[-1]).tobytes()
        policy.close()
    assert late.outcome == "error"
    assert "it took longer than 1 s" in late.error_text


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("opnpi://host:1", "no protocol 'opnpi'; did you mean 'openpi'?"),
        ("wss://host:1", "no protocol 'wss'; did you mean 'openpis://'?"),
        ("openpi://", "no valid host"),
        ("openpi://:8000", "no valid host"),
        ("openpi://host:99999", "Port out of range"),
        ("openpi://host:x", "Port could not be cast"),
        ("openpi://host:0", "port 0"),
        ("openpi://ho st", "no spaces or control characters"),
        ("openpi://host\x1b[31m", "no spaces or control characters"),
        ("openpi://key@host", "SIMEVAL_API_KEY"),
        ("openpi://user:secret@host:x", "SIMEVAL_API_KEY"),
        ("openpi://host/?key=1", "has no ? or #"),
        ("openpi://[::1", "Invalid IPv6 URL"),
    ],
)
def test_urls_are_checked_without_a_network(url, reason):
    with pytest.raises(ConfigError) as error:
        check(url)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_addresses():
    assert str(check("openpi://gpu.lab:8001/v1/realtime/robot/openpi")) == (
        "openpi://gpu.lab:8001/v1/realtime/robot/openpi"
    )
    assert str(check("openpi://host")) == "openpi://host:8000"
    assert str(check("openpis://host/")) == "openpis://host:443"
    assert str(check("openpi://[::1]:9")) == "openpi://[::1]:9"


def test_check_reads_the_convention():
    with pytest.raises(ConfigError, match="did you mean 'openpi_libero'"):
        check("openpi://host", convention="openpi_libro")
    with pytest.raises(ConfigError, match="at least 1, not 0"):
        check("openpi://host", n_action_steps=0)
