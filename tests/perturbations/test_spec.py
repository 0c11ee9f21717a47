"""The grammar: what is read, what is refused and how, and the canonical form."""

import pytest
from helpers import refusal
from hypothesis import given, settings
from hypothesis import strategies as st

from perturbations.base import SpecError
from perturbations.condition import Condition
from perturbations.spec import parse, parse_sweep

CANONICAL = {
    "none": "none",
    " none ": "none",
    "noise:0.050": "noise:0.05",
    "noise:5e-2": "noise:0.05",
    "noise:5E-2": "noise:0.05",
    "noise:5%": "noise:0.05",
    "noise:.05": "noise:0.05",
    "noise:0.7%": "noise:0.007",
    "noise.gaussian:0.05": "noise:0.05",
    "noise:s3": "noise:0.18",
    "noise:0": "noise:0",
    "noise:-0.0": "noise:0",
    "noise:1.": "noise:1",
    "noise:1e-7": "noise:1e-07",
    "noise:0.05@all": "noise:0.05",
    "noise:0.05@wrist": "noise:0.05@wrist",
    "noise:0.05/mode=flicker": "noise:0.05",
    "noise:0.05/mode=static": "noise:0.05/mode=static",
    "noise:0.05/from=0/until=007": "noise:0.05/until=7",
    "noise:0.1@wrist/until=9/mode=static/from=3": "noise:0.1@wrist/from=3/mode=static/until=9",
    "occlusion:20%/fill=gray": "occlusion:0.2",
    "occlusion:20%/mode=flicker/fill=black": "occlusion:0.2/fill=black/mode=flicker",
    "blur.gaussian:2px": "blur.gaussian:2",
    "light.intensity:50%": "light:0.5",
    "brightness:1.0": "brightness:1",
    "instruction:original": "instruction:original",
    "occlusion:0.1 + noise:0.1+brightness:2+blur.gaussian:1+light:.5+instruction:empty": "instruction:empty+light:0.5"
    "+blur.gaussian:1+brightness:2+noise:0.1+occlusion:0.1",
    "noise:0.1@wrist+noise:0.2@agentview": "noise:0.2@agentview+noise:0.1@wrist",
    "noise:0.1/seed=007": "noise:0.1/seed=7",
    "noise:0.1/seed=0": "noise:0.1",
    "camera.orbit:0.1rad": "camera.orbit:5.729577951308232",
    "camera.orbit:15deg@wrist": "camera.orbit:15@wrist",
    "robot.qpos:s2": "robot.qpos:0.2",
    "layout.shift:30mm": "layout.shift:3",
    "layout.shift:0.03m": "layout.shift:3",
    "temperature:4500K": "temperature:4500",
    "action.delay:100ms": "action.delay:2",
    "obs.delay:3steps": "obs.delay:3",
    "latency:100ms": "latency:2",
    "latency:101ms": "latency:3",
    "latency:measured": "latency:measured",
    "latency: measured /mode=rtc": "latency:measured/mode=rtc",
    "latency:1ms/mode=block": "latency:1",
    "latency:2/threshold=70%/mode=async/merge=latest": "latency:2/mode=async/threshold=0.7",
    "latency:2/mode=rtc/threshold=0": "latency:2/mode=rtc/threshold=0",
    "latency:2/mode=async+action.delay:1": "action.delay:1+latency:2/mode=async",
    "occlusion:0.1/target=plate_1": "occlusion:0.1/target=plate_1",
    "instruction:lang:de": "instruction:lang:de",
    "instruction:typo:5%": "instruction:typo:0.05",
    "instruction:typo:s2": "instruction:typo:0.05",
    "instruction:counterfactual:all": "instruction:counterfactual:all",
    "action.noise:0.1+obs.delay:2+proprio.noise:0.1+camdrop:0.1+light:0.5+robot.qpos:0.1+instruction:empty": (
        "instruction:empty+robot.qpos:0.1+light:0.5+camdrop:0.1+obs.delay:2+proprio.noise:0.1+action.noise:0.1"
    ),
}

MALFORMED = {
    "": "write 'none'",
    "   ": "write 'none'",
    "+": "empty perturbation",
    "noise:0.1+": "empty perturbation",
    "+noise:0.1": "empty perturbation",
    "noise:0.1++light:0.3": "empty perturbation",
    "none+noise:0.1": "'none' stands alone",
    "none:1": "unknown perturbation 'none'",
    "None": "unknown perturbation 'None'",
    "nois:0.1": "unknown perturbation 'nois'; did you mean 'noise'?",
    "Noise:0.1": "did you mean 'noise'?",
    "lihgt:0.1": "did you mean 'light'?",
    "blur:2": "unknown perturbation 'blur'; there are blur.defocus, blur.gaussian",
    "xyzzy:1": "`simeval list perturbations`",
    ":0.1": "unknown perturbation ''",
    "@wrist": "unknown perturbation ''",
    "noise": "noise: a value is needed, for instance noise:0.08",
    "noise:": "a value is needed",
    "noise@wrist": "a value is needed",
    "instruction": "for instance instruction:empty",
    "noise:-1": "noise:-1: value must be in [0, 1] (standard deviation",
    "noise:1.01": "value must be in [0, 1]",
    "noise:101%": "value must be in [0, 1]",
    "noise:1e9999": "value must be in [0, 1]",
    "occlusion:1.01": "occlusion:1.01: value must be in [0, ",
    "light:5": "light:5: value must be in [0, 4]",
    "brightness:-0.1": "value must be in [0, 4]",
    "blur.gaussian:11": "value must be in [0, 10]",
    "noise:nan": "value must be a number in [0, 1]",
    "noise:inf": "value must be a number",
    "noise:abc": "or a severity s1 to s5",
    "noise:0.1,": "value must be a number",
    "noise:0.1,,0.2": "value must be a number",
    "noise:0x1": "value must be a number",
    "noise:1_0": "value must be a number",
    "noise:\u0665": "value must be a number",
    "noise:0.1:0.2": "value must be a number",
    "noise:1e+0": "value must be a number|unit must be",
    "noise:5px": "noise:5px: unit must be a bare number or '%'",
    "blur.gaussian:5%": "unit must be a bare number or 'px'",
    "light:3deg": "unit must be",
    "noise:s0": "severities are s1 to s5",
    "noise:s9": "severities are s1 to s5",
    "instruction:s1": "instruction:s1: value must be one",
    "instruction:0.5": "value must be one",
    "instruction:Empty": "did you mean 'empty'?",
    "noise:0.1@left": "unknown camera 'left'; known: all, agentview, wrist",
    "noise:0.1@": "unknown camera ''",
    "noise:0.1@wrist,agentview": "one camera only",
    "camera.orbit:15@hand": "unknown camera 'hand'",
    "camera.orbit:15px": "unit must be a bare number or 'deg' or 'rad'",
    "camera.orbit:15 deg": "value must be a number",
    "camera.orbit:400": "value must be in",
    "robot.qpos:0.1m": "unit must be a bare number or 'rad' or 'deg'",
    "layout.shift:3kg": "unit must be a bare number or 'cm' or 'mm' or 'm'",
    "layout.shift:1km": "unit must be",
    "temperature:5000C": "unit must be a bare number or 'K'",
    "action.delay:75ms": "value must be a whole number of steps",
    "action.delay:1.5": "value must be a whole number of steps",
    "action.delay:-1": "value must be in [0, 40]",
    "action.delay:10s": "unit must be a bare number or 'steps' or 'ms'",
    "obs.drop:s6": "severities are s1 to s5",
    "latency:measures": "value must be a number in [0, 200] or measured or a severity s1 to s5",
    "latency:Measured": "value must be a number",
    "noise:measured": "noise:measured: value must be a number in [0, 1] or a severity",
    "latency:1.5": "value must be a whole number of steps",
    "latency:201": "value must be in [0, 200]",
    "latency:-1ms": "value must be in [0, 200]",
    "latency:2/mode=sync": "mode must be one of block, async, rtc",
    "latency:2/threshold=0.5": "latency:2/threshold=0.5: threshold needs /mode=async or /mode=rtc",
    "latency:2/mode=rtc/merge=average": "merge needs /mode=async",
    "latency:2/mode=async/threshold=1.1": "threshold must be a number in [0, 1]",
    "latency:2/mode=async/threshold=50px": "threshold must be a number in [0, 1]",
    "latency:2/mode=async/threshold=half": "threshold must be a number in [0, 1]",
    "latency:2+latency:3": "latency: given twice in one condition",
    "occlusion:0.1/target=": "target must be the name of an object",
    "occlusion:0.1/target=the bowl": "target must be the name of an object",
    "occlusion:0.1/target=../x": "key|must be",
    "instruction:typo": "needs the probability per letter",
    "instruction:typo:2": "the probability per letter must be",
    "instruction:lang:xx": "must be one of",
    "instruction:empty:3": "takes nothing after another ':'",
    "noise:0.1;rm -rf /": "value must be a number|unit must be|must be written",
    "noise:$(id)": "value must be a number",
    "noise:`id`": "value must be a number",
    "noise:0.1|light:0.3": "value must be a number",
    "noise:*": "value must be a number",
    "n\u00f6ise:0.1": "did you mean 'noise'?",
    "\u96d1\u97f3:0.1": "unknown perturbation",
    "noise:0.1@wrist@agentview": "one camera only",
    "light:0.5@wrist": "light takes no '@camera'",
    "instruction:empty@all": "instruction takes no '@camera'",
    "noise:0.1/": "must be written /KEY=VALUE",
    "noise:0.1/static": "must be written /KEY=VALUE",
    "noise:0.1/fill=black": "noise has no key 'fill'; its keys: from, mode, seed, until",
    "noise:0.1/seed=x": "seed must be a whole number",
    "brightness:0.5/mode=static": "brightness has no key 'mode'",
    "light:0.5/from=3": "light has no key 'from', it takes none",
    "noise:0.1/mode=slow": "mode must be one of flicker, static",
    "occlusion:0.1/fill=": "fill must be one of gray, black, noise",
    "noise:0.1/from=-1": "from must be a number of control steps",
    "noise:0.1/from=1.5": "from must be a number of control steps",
    "noise:0.1/until=12345678": "until must be a number of control steps",
    "noise:0.1/from=5/until=5": "until=5 must be greater than from=5",
    "noise:0.1/until=0": "until=0 must be greater than from=0",
    "noise:0.1/from=1/from=2": "key 'from' is given twice",
    "noise:0.1+noise:0.2": "noise: given twice in one condition for camera 'agentview'",
    "noise:0.1+noise.gaussian:0.2@wrist": "noise: given twice in one condition for camera 'wrist'",
    "light:0.1+light.intensity:0.2": "light: given twice in one condition",
    "noise:0.1 light:0.3": "value must be a number",
    "noise:0.1\nlight:0.3": "value must be a number",
    "noise:\x1b[31m0.1": "value must be a number",
    "noi\ud800se:1": "unknown perturbation",
    "noise:0.1\n" * 50: "value must be a number",
    "n" * 5_000: "unknown perturbation",
    "noise:" + "9" * 5_000: "value must be in [0, 1]",
    "noise:" + "1" * 9_000 + "x": "unit must be",
    "noise:0.1/" + "k" * 900 + "=1": "no key",
    "noise:0.1@" + "c" * 900: "unknown camera",
    "instruction:" + "w" * 900: "value must be one",
    "noise:0.1" + "0" * 10_000: "at most 10000 are read",
    "noise:" + ",".join(["0.1"] * 2_000): "2000 conditions, at most 1000",
}


@pytest.mark.parametrize(("text", "expected"), CANONICAL.items())
def test_canonical_form(text, expected):
    assert str(parse(text)) == expected
    assert parse(expected) == parse(text)


@pytest.mark.parametrize(("text", "hint"), MALFORMED.items(), ids=lambda text: ascii(text)[:40])
def test_malformed_text_is_refused_in_one_clear_line(text, hint):
    with pytest.raises(SpecError) as caught:
        parse_sweep(text)
    message = str(caught.value)
    assert any(part in message for part in hint.split("|"))
    assert message.isprintable()
    assert len(message) < 200


def test_the_table_of_malformed_text_is_long_enough():
    assert len(MALFORMED) >= 60


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: ascii(text)[:40])
def test_the_command_line_refuses_it_with_one_line_and_exit_code_2(text):
    line = refusal("plan", "--suite", "toy", "--perturb", text)
    assert line.startswith("--perturb: ")


def test_a_sweep_is_the_cross_product_in_reading_order():
    assert [str(c) for c in parse_sweep("noise:0.01,0.05+light:0.3,0.6")] == [
        "light:0.3+noise:0.01",
        "light:0.6+noise:0.01",
        "light:0.3+noise:0.05",
        "light:0.6+noise:0.05",
    ]
    assert parse_sweep("none") == (Condition(),)
    assert parse_sweep("noise:0.05,5%,0.050,s1") == (parse("noise:0.05"), parse("noise:0.08"))
    assert [str(c) for c in parse_sweep("brightness:0.5,1.5+occlusion:0.2/fill=black")] == [
        "brightness:0.5+occlusion:0.2/fill=black",
        "brightness:1.5+occlusion:0.2/fill=black",
    ]


def test_sweeps_are_limited_and_parse_takes_one_condition():
    values = ",".join(f"{i / 100}" for i in range(100))
    assert len(parse_sweep(f"noise:{values}+light:{','.join('123')}")) == 300
    with pytest.raises(SpecError, match="10000 conditions, at most 1000 in one sweep"):
        parse_sweep(f"noise:{values}+light:{values}")
    with pytest.raises(SpecError, match="a sweep of 2 conditions where one is expected"):
        parse("noise:0.1,0.2")


def test_conditions_are_values():
    one, other = parse("noise:0.05+light:0.3"), parse("light:30%+noise:5e-2")
    assert one == other
    assert len({one, other}) == 1
    assert (one.axes, one.family, one.meaning, one.cameras) == (
        ("light", "noise"), "V", "kept", ("agentview", "wrist")
    )  # fmt: skip
    assert parse("noise:0.1@wrist+instruction:counterfactual").family == "S+V"
    assert parse("noise:0.1@wrist+instruction:counterfactual").meaning == "changed"
    assert parse("noise:0.1@wrist").cameras == ("wrist",)
    assert parse("instruction:scramble").meaning == "not_applicable"
    assert (parse("none").is_clean, parse("none").family, parse("none").axes) == (True, "none", ())
    assert not parse("noise:0").is_clean


def test_canonical_text_becomes_a_file_name():
    condition = parse("noise:1e-7@wrist/mode=static+occlusion:0.2/fill=black+instruction:empty")
    name = str(condition).replace(":", "=").replace("/", "~")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-+=@~_")


FRAGMENTS = st.sampled_from(
    ["noise", "noise.gaussian", "light", "occlusion", "blur.gaussian", "brightness", "instruction", "none", "empty",
     "counterfactual", "typo", "lang", "de", "all", "camera.orbit", "layout.shift", "action.delay", "obs.drop", "deg",
     "ms", "cm", "seed", "target", "plate_1", ":",
     ":", ":", ",", "+", "@", "/", "=", "mode", "fill", "from", "until", "static", "black",
     "0.1", "0.25", "0", "1", "2", "5%", "px", "s3", "1e-3", "-", "wrist", "agentview", "all", " "]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=60) | st.lists(FRAGMENTS, max_size=14).map("".join))
def test_any_text_is_read_or_refused(text):
    conditions, refusal = (), ""
    try:
        conditions = parse_sweep(text)
    except SpecError as error:
        refusal = str(error)
    assert bool(conditions) != bool(refusal)
    assert not refusal or refusal.isprintable()
    assert len(refusal) < 200
    for condition in conditions:
        assert parse(str(condition)) == condition
        assert str(parse(str(condition))) == str(condition)


@settings(max_examples=200, deadline=None)
@given(
    noise=st.floats(0, 1),
    light=st.floats(0, 4),
    camera=st.sampled_from(["", "@all", "@wrist", "@agentview"]),
    window=st.sampled_from(["", "/from=3", "/until=10", "/from=2/until=4/mode=static"]),
)
def test_any_number_survives_the_round_trip(noise, light, camera, window):
    condition = parse(f"noise:{noise!r}{camera}{window}+light:{light!r}")
    assert parse(str(condition)) == condition
    assert [term.value for term in condition.terms] == [light, noise]
