"""`/act`, GR00T's and vla-eval's protocol against stubs made from their schemas: messages, and one line per fault."""

import itertools
import json
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from other_servers import act_server, gr00t_server, json_array, npy, vla_eval_server
from policy_servers import error_between, free_port, given, tcp

from simeval.core.errors import ConfigError, EpisodeError
from simeval.policies.remote.channel import Limits
from simeval.policies.remote.conventions import names
from simeval.policies.remote.load import SCHEMES, check, load

LIMITS = Limits(connect_s=0.6, start_s=0.1, wait_s=0.2, answer_s=0.6, first_answer_s=1.5, max_bytes=2**20)
SLOWEST = 8.0


def vectors(request: dict, images: tuple[str, ...], text: str, length: int) -> np.ndarray:
    """`float64[length, 7]` of a request: depends on its images and on its text; the gripper is open at 1."""
    chunk = np.zeros((length, 7))
    chunk[:, 0] = np.linspace(-0.4, 0.4, length) + sum(float(request[key].mean()) for key in images) / 2000
    chunk[:, 1] = len(text) / 100
    chunk[:, 6] = 0.9
    return chunk


def oft(request: dict) -> list:
    """OpenVLA-OFT's answer: a list of vectors."""
    return list(vectors(request, ("full_image", "wrist_image"), request["instruction"], 8))


def gr00t(observation: dict) -> list:
    video = observation["video"]
    text = observation["language"]["annotation.human.action.task_description"][0][0]
    chunk = vectors(video, ("image", "wrist_image"), text, 16).astype(np.float32)
    keys = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
    return [{key: chunk[np.newaxis, :, [index]] for index, key in enumerate(keys)}, {}]


def vla_eval(payload: dict) -> dict:
    chunk = vectors(payload["images"], ("agentview", "wrist"), payload["task_description"], 3)
    return {"actions": chunk[0] * [1, 1, 1, 1, 1, 1, -1]}


def test_openvla_oft():
    with act_server(oft) as server:
        policy = load(f"act://127.0.0.1:{server.port}", limits=LIMITS)
        (chunk,) = policy.act([given(instruction="Open it")])
    assert (policy.spec.n_action_steps, policy.report.repeatable, chunk.shape) == (8, True, (8, 7))
    request = server.requests[-1]
    assert set(request) == {"full_image", "wrist_image", "state", "instruction"}
    image = given().observation.images["agentview"]
    assert request["full_image"].tobytes() == image.tobytes()
    assert (request["state"].dtype, request["state"].shape) == (np.float64, (8,))
    assert server.headers[-1]["path"] == "/act"
    np.testing.assert_allclose(chunk[:, :6], np.array(oft(request))[:, :6].astype(np.float32))
    assert (chunk[:, 6] == -1).all()


@pytest.mark.parametrize(
    "form",
    [
        lambda vector: vector.tolist(),
        lambda vector: vector,
        lambda vector: [vector],
        lambda vector: json.dumps(json_array(vector)),
        lambda vector: {"actions": [vector.tolist()], "dt_ms": 50},
    ],
)
def test_openvla_answers_one_vector(form):
    with act_server(lambda request: form(vectors(request, ("image",), request["instruction"], 1)[0])) as server:
        policy = load(f"act://127.0.0.1:{server.port}", convention="openvla_libero", limits=LIMITS)
        (chunk,) = policy.act([given()])
    assert (policy.spec.n_action_steps, policy.spec.cameras, chunk.shape) == (1, ("agentview",), (1, 7))
    assert server.requests[-1]["image"].shape == (224, 224, 3)


def test_act_sends_the_key_and_another_path(monkeypatch):
    monkeypatch.setenv("SIMEVAL_API_KEY", "s3cret")
    with act_server(oft) as server:
        load(f"act://127.0.0.1:{server.port}/v2/predict", limits=LIMITS)
    assert server.headers[-1]["path"] == "/v2/predict"
    assert server.headers[-1]["Authorization"] == "Bearer s3cret"


def test_act_asks_for_the_model_again_at_every_episode():
    with act_server(oft) as server:
        policy = load(f"act://127.0.0.1:{server.port}", limits=LIMITS)
        policy.act([given(chunk_index=0)])
        before = len(server.requests)
        policy.act([given(chunk_index=1)])
        assert len(server.requests) == before + 1
        policy.act([given(chunk_index=0)])
        assert len(server.requests) == before + 3
        server.answer = lambda request: [vector + 0.2 for vector in oft(request)]
        with pytest.raises(ConfigError, match="another model than at the start of this run"):
            policy.act([given(chunk_index=0)])


def slowly(handler) -> None:
    """Headers, and then a byte at a time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(40):
        handler.wfile.write(b"1")
        time.sleep(0.05)


def headers_slowly(handler) -> None:
    for index in range(40):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" if index == 0 else b"A: b\r\n")
        time.sleep(0.05)


def cut(handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[1,")
    handler.connection.close()


def gibberish(handler) -> None:
    handler.wfile.write(b"\x00\x01 nonsense\r\n\r\n")


def lying(**changes) -> dict:
    return json_array(np.zeros((8, 7), np.float32)) | changes


ACT_FAULTS = {
    "error": ("error", "it answers 'error'; its log has the reason"),
    "another text": ("oops", "its answer is no JSON"),
    "error map": ({"error": "bad\nimage"}, "the server reports an error: bad"),
    "no JSON": ((200, b"<html>\x1b"), "its answer is no JSON"),
    "nothing": ((200, b""), "its answer is no JSON"),
    "deep": ((200, b"[" * 100_000), "its answer is no JSON"),
    "endless number": ((200, b"[" + b"9" * 10_000 + b"]"), "its answer is no JSON"),
    "large number": ([[10**30] * 7] * 8, "values of type object"),
    "NaN": ((200, b"[" + b",".join([b"[NaN,0,0,0,0,0,0]"] * 8) + b"]"), "not finite"),
    "null": (None, "values of type object, not real numbers"),
    "ragged": ([[0] * 7, [0] * 6], "lists of different lengths"),
    "other actions": ([[0] * 8] * 8, "have the shape (8, 8)"),
    "short": ([[0] * 7] * 4, "its chunk has 4 actions, and 8 are executed"),
    "lying array": (lying(shape=[9, 7]), "takes 252 bytes, and 224 came"),
    "objects": (lying(dtype="|O"), "arrays of type |O are refused"),
    "no base64": (lying(__numpy__="\x00?"), "no base64"),
    "no shape": ({"__numpy__": "", "dtype": "<f4"}, "has no shape"),
    "500": ((500, b"Traceback (most recent call last):\n  x\nKeyError: 'state'\n"), "HTTP 500: KeyError: 'state'"),
    "503": ((503, b"busy"), "HTTP 503 instead of a connection"),
    "404": ((404, b""), "HTTP 404: no policy at this path"),
    "401": ((401, b""), "HTTP 401: it wants a key; set SIMEVAL_API_KEY"),
    "redirect": ((307, b""), "HTTP 307: a web server, but no policy"),
    "2 MB": ((200, b" " * 2**21), "its answer has more than 1048576 bytes"),
    "slow": (lambda handler: slowly, "no answer came within 0.6 s"),
    "slow headers": (lambda handler: headers_slowly, "no answer came within 0.6 s"),
    "cut off": (lambda handler: cut, "the connection was closed in the middle of an answer"),
    "no HTTP": (lambda handler: gibberish, "no HTTP server"),
}


@pytest.mark.parametrize("case", ACT_FAULTS)
def test_faults_of_act(case):
    fault, reason = ACT_FAULTS[case]

    def answer(request):
        if request["instruction"] != "go":
            return oft(request)
        return fault(None) if callable(fault) else fault

    with act_server(answer) as server:
        url = f"act://127.0.0.1:{server.port}"
        policy = load(url, limits=LIMITS)
        error = error_between(policy, given(), given(instruction="go"), SLOWEST)
    assert_line(error, url, reason)


def assert_line(error: Exception, url: str, reason: str) -> None:
    text = str(error)
    assert text.startswith(url) or text.startswith(f"--policy {url}")
    assert reason in text
    assert text.isprintable()
    assert len(text) < 500


@pytest.mark.parametrize("scheme", ["act", "gr00t", "vla-eval"])
def test_nobody_listens(scheme):
    url = f"{scheme}://127.0.0.1:{free_port()}"
    with pytest.raises(ConfigError) as error:
        load(url, limits=LIMITS)
    assert_line(error.value, url, "cannot connect: Connection refused; start the server")


@pytest.mark.parametrize("scheme", ["act", "gr00t", "vla-eval"])
def test_a_server_that_says_nothing(scheme):
    with tcp(lambda connection: time.sleep(2)) as port:
        url, began = f"{scheme}://127.0.0.1:{port}", time.monotonic()
        with pytest.raises(ConfigError) as error:
            load(url, limits=LIMITS)
    assert time.monotonic() - began < SLOWEST
    assert_line(error.value, url, "within")


def test_gr00t():
    with gr00t_server(gr00t) as server:
        policy = load(f"gr00t://127.0.0.1:{server.port}", limits=LIMITS)
        server.requests.clear()
        (chunk,) = policy.act([given(chunk_index=0)])
        assert [request["endpoint"] for request in server.requests] == [
            *("ping", "get_modality_config", "reset", "get_action"),  # the probe
            *("reset", "get_action"),
        ]
        policy.close()
    observation = server.requests[-1]["data"]["observation"]
    assert (policy.spec.n_action_steps, chunk.shape) == (8, (16, 7))
    assert observation["video"]["image"].shape == (1, 1, 64, 64, 3)
    assert observation["state"]["gripper"].dtype == np.float32
    assert (chunk[:, 6] == -1).all()
    np.testing.assert_allclose(chunk[:, 0], gr00t(observation)[0]["x"][0, :, 0])


def test_another_gr00t_model_has_other_modalities():
    with gr00t_server(gr00t) as server:
        policy = load(f"gr00t://127.0.0.1:{server.port}", limits=LIMITS)
        policy.act([given(chunk_index=0)])
    with gr00t_server(gr00t, {"action": 2}, server.port), pytest.raises(ConfigError, match="its metadata are others"):
        policy.act([given(chunk_index=0)])
    policy.close()


def broken(**changes) -> dict:
    return {"x": npy(np.zeros((1, 16, 1))) | changes}


HEADER = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
GR00T_FAULTS = {
    "error": ({"error": "Unknown endpoint"}, "the server reports an error: Unknown endpoint"),
    "no map": ([1, 2], "have the shape (2), not"),
    "missing key": ([{"x": np.zeros((1, 16, 1))}, {}], "its answer has no 'y', only: x"),
    "lengths": ([gr00t_parts := {key: np.zeros((1, 9 if key == "z" else 8, 1)) for key in "xyz"}, {}], "has no 'roll'"),
    "no file": ([broken(as_npy=b"nonsense"), {}], "an array in the message is no .npy file"),
    "no bytes": ([broken(as_npy="text"), {}], "has no .npy file"),
    "lying header": (
        [broken(as_npy=HEADER + b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,), }".ljust(118)), {}],
        "takes 399999999996 bytes, and 0 came",
    ),
    "objects": (
        [broken(as_npy=HEADER + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(118) + b"x"), {}],
        "arrays of type |O are refused",
    ),
    "garbage": (b"\xc1", "the message is no msgpack"),
    "never": (None, "no answer came within 0.6 s"),
    "2 MB": (b"\x00" * 2**21, "no answer came within 0.6 s"),
}


@pytest.mark.parametrize("case", GR00T_FAULTS)
def test_faults_of_gr00t(case):
    fault, reason = GR00T_FAULTS[case]

    def answer(observation):
        text = observation["language"]["annotation.human.action.task_description"]
        return fault if text == [["go"]] else gr00t(observation)

    with gr00t_server(answer) as server:
        url = f"gr00t://127.0.0.1:{server.port}"
        policy = load(url, limits=LIMITS)
        (sound,) = policy.act([given()])
        with pytest.raises(EpisodeError) as error:
            policy.act([given(instruction="go")])
        assert policy.act([given()])[0].tobytes() == sound.tobytes()
        policy.close()
    assert_line(error.value, url, reason)


def test_fortran_order_and_keys():
    def answer(observation):
        parts, info = gr00t(observation)
        return [{key: np.asfortranarray(part) for key, part in parts.items()}, info]

    with gr00t_server(answer) as server:
        policy = load(f"gr00t://127.0.0.1:{server.port}", limits=LIMITS)
        (chunk,) = policy.act([given()])
        policy.close()
    observation = server.requests[-1]["data"]["observation"]
    np.testing.assert_allclose(chunk[:, 0], gr00t(observation)[0]["x"][0, :, 0])


EVERYTHING = {"observation_params": {"send_wrist_image": True, "send_state": True}}
"""What vla-eval's LIBERO benchmark sends to servers that ask for it."""


def test_vla_eval():
    with vla_eval_server(vla_eval, hello=EVERYTHING) as server:
        policy = load(f"vla-eval://127.0.0.1:{server.port}", limits=LIMITS)
        server.requests.clear()
        for index in (0, 1, 0):
            (chunk,) = policy.act([given(chunk_index=index)])
        policy.close()
    assert [message["type"] for message in server.requests] == [
        *("hello", "episode_start", "observation"),  # the probe
        *("episode_end", "episode_start", "observation", "observation"),
        *("episode_end", "episode_start", "observation"),
    ]
    payload = server.requests[-1]["payload"]
    assert (policy.spec.n_action_steps, chunk.shape) == (1, (1, 7))
    assert chunk[0, 6] == -1
    assert set(payload) == {"images", "states", "task_description"}
    assert payload["images"]["wrist"].shape == (256, 256, 3)
    assert [message["seq"] for message in server.requests] == list(range(1, 11))
    np.testing.assert_allclose(chunk[0, :6], vla_eval(payload)["actions"][:6].astype(np.float32))


def test_a_vla_eval_episode_does_not_go_on_over_another_connection():
    with vla_eval_server(vla_eval, hello=EVERYTHING) as server:
        policy = load(f"vla-eval://127.0.0.1:{server.port}", limits=LIMITS)
        policy.act([given(chunk_index=0)])
    with vla_eval_server(vla_eval, server.port, hello=EVERYTHING):
        with pytest.raises(EpisodeError, match="with it what the server knew of this episode"):
            policy.act([given(chunk_index=1)])
        policy.act([given(chunk_index=0)])
        policy.act([given(chunk_index=1)])
        policy.close()


VLA_EVAL_FAULTS = {
    "error": (
        {"type": "error", "payload": {"error": "observation_failed: KeyError: 'states'\nx"}},
        "the server reports an error: observation_failed: KeyError: 'states'",
    ),
    "another type": ({"type": "hello"}, "it answers with 'hello', not 'action'"),
    "another number": ({"type": "action", "seq": 1, "payload": {"actions": [0] * 7}}, "it answers message 1, not"),
    "no payload": ({"type": "action", "payload": 3}, "no message of vla-eval's protocol"),
    "no action": ({"noise": 1}, "its answer has no 'actions', only: noise"),
    "other actions": ({"actions": [0.0] * 8}, "have the shape (8), not"),
    "closes": (None, "the connection was closed"),
}


@pytest.mark.parametrize("case", VLA_EVAL_FAULTS)
def test_faults_of_vla_eval(case):
    fault, reason = VLA_EVAL_FAULTS[case]

    def answer(payload: dict) -> dict:
        return fault if payload["task_description"] == "go" else vla_eval(payload)

    with vla_eval_server(answer, hello=EVERYTHING) as server:
        url = f"vla-eval://127.0.0.1:{server.port}"
        policy = load(url, limits=LIMITS)
        with pytest.raises(EpisodeError) as error:
            policy.act([given(instruction="go", chunk_index=0)])
        assert len(policy.act([given(chunk_index=0)])) == 1
        policy.close()
    assert_line(error.value, url, reason)


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        ({"protocol_version": 2}, "it speaks version 2 of vla-eval's protocol, not 1"),
        ({"observation_params": {"absolute_action": True}}, "its actions are absolute"),
        ({"observation_params": {"send_state": "yes"}}, "its observation_params' send_state is yes, not true or false"),
        ({"observation_params": [1]}, "its observation_params is .*, not a map"),
        ({"action_spec": {"position": {"format": "absolute_xyz"}}}, "its actions are 'absolute_xyz'"),
        ({"action_spec": {"joints": {"dims": 7, "format": "joint_positions"}}}, "its actions are 'joint_positions'"),
        ({"action_spec": {"gripper": {"format": "continuous_01"}}}, "its gripper is 'continuous_01', which does not"),
    ],
)
def test_vla_eval_servers_that_want_something_else(hello, reason):
    with vla_eval_server(vla_eval, hello=hello) as server, pytest.raises(ConfigError, match=reason):
        load(f"vla-eval://127.0.0.1:{server.port}", limits=LIMITS)


TURNED = np.array([0, 0, 1, 2.5, 2.5, 0, 0.04, -0.04], np.float32)
"""A state whose rotation is by more than half a turn (3.54 rad)."""


@pytest.mark.parametrize(
    ("wishes", "images", "rotation"),
    [
        ({}, {"agentview"}, None),
        ({"send_wrist_image": True}, {"agentview", "wrist"}, None),
        ({"send_state": True}, {"agentview"}, 2.5 * (1 - 2 * np.pi / np.hypot(2.5, 2.5))),
        ({"send_state": True, "quat_no_antipodal": True, "env_seed": 0}, {"agentview"}, 2.5),
    ],
)
def test_a_vla_eval_server_gets_what_it_asks_for(wishes, images, rotation):
    def answer(payload: dict) -> dict:
        return {"actions": np.r_[np.full(6, payload["images"]["agentview"].mean() / 1000), 0]}

    with vla_eval_server(answer, hello={"observation_params": wishes}) as server:
        policy = load(f"vla-eval://127.0.0.1:{server.port}", limits=LIMITS)
        asked = given(chunk_index=0)
        (chunk,) = policy.act([replace(asked, observation=replace(asked.observation, state=TURNED))])
        policy.close()
    payload = server.requests[-1]["payload"]
    assert set(payload["images"]) == images == set(policy.spec.cameras)
    assert ("states" in payload) == (rotation is not None)
    if rotation is not None:
        np.testing.assert_allclose(payload["states"], [0, 0, 1, rotation, rotation, 0, 0.04, -0.04], atol=1e-6)
    assert chunk[0, 6] == 1  # as vla-eval's LIBERO: what is not negative closes


@pytest.mark.parametrize(
    ("form", "command", "executed"),
    [("binary_close_negative", 1, -1), ("binary_close_positive", 1, 1), ("binary_close_01", 0, -1), ("raw", -1, -1)],
)
def test_a_vla_eval_server_says_what_closes_its_gripper(form, command, executed):
    hello = {"action_spec": {"gripper": {"name": "gripper", "dims": 1, "format": form}}}
    with vla_eval_server(lambda payload: {"actions": [0.0] * 6 + [command]}, hello=hello) as server:
        policy = load(f"vla-eval://127.0.0.1:{server.port}", limits=LIMITS)
        (chunk,) = policy.act([given(chunk_index=0)])
        policy.close()
    assert chunk[0, 6] == executed


def test_a_chosen_card_stays_and_what_the_server_announces_is_said(caplog):
    hello = {
        "observation_params": {"send_state": True, "quat_no_antipodal": True},
        "action_spec": {"gripper": {"format": "binary_close_01"}, "rotation": {"format": "euler_xyz"}},
    }
    with vla_eval_server(vla_eval, hello=hello) as server:
        url = f"vla-eval://127.0.0.1:{server.port}"
        policy = load(url, convention="vla_eval_libero", limits=LIMITS)
    assert policy.spec.cameras == ("agentview", "wrist")
    said = [
        record.getMessage().removeprefix(f"simeval: {url}: ").removesuffix("; see --convention")
        for record in caplog.records
    ]
    assert said[:4] == [
        "its rotation is 'euler_xyz', and it is executed as axis_angle",
        "images: convention vla_eval_libero has images/agentview, images/wrist, and the server announces "
        "images/agentview",
        "state: convention vla_eval_libero has position, axis_angle_short, fingers, and the server announces "
        "position, axis_angle, fingers",
        "gripper from open to closed: convention vla_eval_libero has -1.0, 1.0, and the server announces 0.0, 1.0",
    ]


@pytest.mark.parametrize(
    ("spec", "wishes", "doubts"),
    [
        ({"image": "rgb_hwc_uint8", "state": "raw", "language": "language"}, {}, []),
        ({"state": "eef_pos3_axisangle3_gripper2"}, {"send_state": True}, []),
        ({"state": "eef_pos3_axisangle3_gripper2"}, {}, ["its observation_spec has a state, and none is sent"]),
        ({"wrist": "rgb_hwc_uint8"}, {"send_state": True}, ["its observation_spec has a wrist image, and none is"]),
        ({"wrist_image": "rgb_hwc_uint8"}, {"send_wrist_image": True}, []),
        ({"state": "eef_pos3_quat4_gripper1"}, {"send_state": True}, ["of the form 'eef_pos3_quat4_gripper1', and"]),
    ],
)
def test_what_a_vla_eval_server_reads_and_does_not_get_is_said(spec, wishes, doubts, caplog):
    hello = {"observation_params": wishes, "observation_spec": {key: {"format": form} for key, form in spec.items()}}

    def answer(payload: dict) -> dict:
        image, words = payload["images"]["agentview"].mean() / 1000, len(payload["task_description"]) / 100
        return {"actions": [image, words, 0, 0, 0, 0, -1]}

    with vla_eval_server(answer, hello=hello) as server:
        load(f"vla-eval://127.0.0.1:{server.port}", limits=LIMITS)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(doubts)
    assert all(doubt in text for doubt, text in zip(doubts, said, strict=True))


@pytest.mark.parametrize(
    ("low", "high", "doubt"),
    [(0, 1, None), (0.1, 0.9, None), (0, 0.2, "never opens"), (-1, 1, "goes beyond open and closed (from -1 to 1;")],
)
def test_gripper_commands_of_another_convention_are_said(low, high, doubt, caplog):
    commands = itertools.cycle([low, high])

    def answer(request: dict) -> list:
        actions = oft(request)
        for action in actions:
            action[6] = next(commands)
        return actions

    with act_server(answer) as server:
        load(f"act://127.0.0.1:{server.port}", limits=LIMITS)
    texts = [record.getMessage() for record in caplog.records if "gripper" in record.getMessage()]
    assert len(texts) == (doubt is not None)
    assert all(doubt in text and "by convention openvla_oft_libero 1 is open, 0 closed" in text for text in texts)


def test_a_gr00t_url_has_no_path():
    with pytest.raises(ConfigError, match="a gr00t URL has no path"):
        check("gr00t://host:5555/x")
    assert str(check("gr00t://host")) == "gr00t://host:5555"
    with pytest.raises(ConfigError, match=r"no protocol 'http'; did you mean 'act://'"):
        check("http://host")


def test_every_scheme_names_a_card():
    assert {scheme.convention for scheme in SCHEMES.values()} <= set(names())


@pytest.mark.parametrize(("scheme", "module"), [("gr00t", "zmq"), ("vla-eval", "websockets"), ("openpi", "websockets")])
def test_a_missing_package_is_named(scheme, module, monkeypatch):
    with tcp(lambda connection: None) as port:
        for name in (module, f"{module}.exceptions"):
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(
            ConfigError, match=rf"need {module}.*, which is not installed: pip install 'simeval\[remote\]'"
        ):
            load(f"{scheme}://127.0.0.1:{port}", limits=LIMITS)
