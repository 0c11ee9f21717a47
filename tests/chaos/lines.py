"""Random command lines for `simeval`: sound words mixed with values that nobody foresaw.

They reach nothing outside their folder: no network, no cluster but a closed port here, no path that leaves the folder
and can be written. Sizes that are sound are small; a run of a million episodes would be no hang.
"""

from random import Random

LETTERS = "abz _-:,;=@#%*?\"'\\|<>[]{}()$&+äß\u2014中🦾\u202e\u0301\ufeff\udcff\t\n\r\x1b\x07\x7f"
"""Of random words. No digit (a size could come out), no slash, dot or tilde (a path elsewhere could)."""
ODD = ("", " ", "-1", "1e3", "0x10", "1_0", "²", "\u0661", "nan", "inf", "none", "true", "null", "-", "--", "0" * 400)
HUGE = ("9" * 30, "9" * 5000, "-" + "9" * 30, "x" * 10_000)

PERTURBATIONS = (
    "noise:0.3", "noise:0.1,0.2", "light:0.1", "occlusion:0.2@agentview", "instruction:empty", "action.noise:0.1",
    "noise", "noise:", "noise:nan", "noise:1e999", "noise:-1", "noise:0.3@", "noise:0.3@nowhere", ":", "@", "+", ",,",
    "nosie:0.3", "noise:0.3+light:0.1", "noise:0.3+noise:0.3", "noise:0.3,0.3", "action.delay:99999999999",
    "none", "light:0..1", "noise:0." + "1" * 400,
)  # fmt: skip
OPTIONS: dict[str, tuple[str, ...]] = {
    "--suite": ("toy", "toi", "TOY", "toy,toy"),
    "--tasks": ("0", "0-1", "1,1", "2-1", "99", "0-", ",", "0-999999", "0,,1"),
    "--init-states": ("0", "0,1", "50", "1-0", "0-0-0", "0 , 1"),
    "--perturb": PERTURBATIONS,
    "--policy": ("zero", "random", "seeker", "expert", "seker", "./nothing", "."),
    "--n-action-steps": ("1", "0", "1001"),
    "--protocol": ("openvla", "lerobot", "opnvla"),
    "--seed": ("0", "1", "9223372036854775807", "9223372036854775808"),
    "--repeats": ("1", "2", "0", "10001"),
    "--assets": ("bundled", "./nothing"),
    "--device": ("cpu", "auto", "cup"),
    "--inference": ("auto", "worker", "actor", "actr"),
    "--batch-size": ("1", "0", "4097"),
    "--dtype": ("bfloat16", "float32"),
    "--numerics": ("portable", "portabel"),
    "--workers": ("0", "-1", "1025", "100001"),
    "--episode-timeout": ("50", "0", "604801"),
    "--ray-address": ("", "127.0.0.1:1"),
    "--plugin": ("./nothing.py", ".", "recipe.yaml"),
    "--out": ("out", ".", "a/b/c", "recipe.yaml", "recipe.yaml/out", "/dev/null", "/proc/none/out", "x" * 300),
    "--traces": ("all", "failures", "none", "nil"),
    "--video": ("none", "al"),
    "--config": ("recipe.yaml", "./nothing.yaml", "."),
    "--resume": (".", "./nothing", "sound"),
}
OTHERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "show": (("sound",), ("sound", "--json"), ("sound", "--by-task"), ("nothing",), ()),
    "list": (("suites",), ("tasks", "--suite", "toy"), ("perturbations", "noise"), ("policies",), ("protocol",), ()),
    "compare": (("sound", "sound"), ("sound", "sound", "--json"), ("sound", "nothing"), ("sound",)),
    "correlate": (("sound",), ("sound", "--audit", "nothing"), ("sound", "--json")),
    "report": (("nothing",), ("sound", "nothing"), ("sound", "--audit", "nothing"), ("sound", "--out", "/dev/null")),
    "video": (("nothing",), ("sound", "--episode", "none"), ("sound", "--size", "63"), ("sound", "--camera", "x"),
              ("sound", "--limit", "0"), ("sound", "--flips", "--failures")),
    "preview": (("--suite", "toi"), ("--suite", "toy", "--task", "99"), ("--suite", "toy", "--size", "1")),
    "audit": (("nothing",), (), ("sound", "--dataset", "nothing"), ("--dataset", "nothing"), ("sound", "--seeds", "x")),
    "doctor": (("--only", "nothing"), ("--only", "disk"), ("--only", ",")),
    "rnu": ((),), "": ((),), "--version": ((),), "--help": ((),), "run ": ((),),
}  # fmt: skip
SMALL = ("--suite", "toy", "--tasks", "0", "--init-states", "0", "--workers", "0", "--policy", "random", "--out", "out")


def command_line(random: Random) -> list[str]:
    """A command line; half of them of `run` and `plan`."""
    if random.random() < 0.5:
        words = [random.choice(("run", "plan", "plan")), *_options(random)]
    else:
        verb = random.choice(list(OTHERS))
        words = [verb, *random.choice(OTHERS[verb])]
        if random.random() < 0.3:
            words.insert(random.randrange(1, len(words) + 1), _word(random))
    if random.random() < 0.1:
        words.append(random.choice(("--json", "--grow", "--help", "--nothing", "-x", "--out", "--tasks=0")))
    return words


def recipe(random: Random) -> bytes:
    """A YAML file, or something like one."""
    if random.random() < 0.2:
        return random.randbytes(random.randrange(200))
    chosen = random.sample([name for name in OPTIONS if name not in ("--config", "--resume")], random.randrange(4))
    return "".join(f"{name[2:]}: {_value(random, name)}\n" for name in chosen).encode(errors="surrogateescape")


def _options(random: Random) -> list[str]:
    """The options of a small run, some of them changed and some added; the last of two counts."""
    chosen = dict(zip(SMALL[::2], SMALL[1::2], strict=True))
    names = random.sample(list(OPTIONS), random.randrange(1, 4))
    chosen |= {name: _value(random, name) for name in names}
    pairs = list(chosen.items())
    random.shuffle(pairs)
    return [word for pair in pairs for word in pair]


def _value(random: Random, name: str) -> str:
    # Most are sound or nearly so: a line of which three words are wrong tests the first alone. Any word may be a host.
    if name == "--ray-address" or random.random() < 0.75:
        return random.choice(OPTIONS[name])
    return _word(random)


def _word(random: Random) -> str:
    kind = random.random()
    if kind < 0.3:
        return random.choice(ODD)
    if kind < 0.45:
        return random.choice(HUGE)
    return "".join(random.choices(LETTERS, k=random.choice((1, 3, 10, 300))))
