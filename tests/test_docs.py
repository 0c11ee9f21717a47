"""The documentation: what it shows can be typed, what it names exists, and every page can be found."""

import importlib
import itertools
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
import yaml

from perturbations.base import axes
from perturbations.spec import parse_sweep
from simeval.cli.app import LISTS, app
from simeval.config.strengths import strength_ranges
from simeval.config.worst_space import space_of
from simeval.core import plugins
from simeval.policies.scripted import ZeroPolicy
from simeval.testing import check_perturbation

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VERBS = typer.main.get_command(app).commands


class _Loader(yaml.SafeLoader):
    """Reads mkdocs.yml, whatever tags it has."""


_Loader.add_multi_constructor("", lambda loader, suffix, node: None)
SITE = yaml.load((ROOT / "mkdocs.yml").read_text(), _Loader)


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """(title, text) of a page's code blocks in one of these languages."""
    found = FENCE.findall(page.read_text())
    return [(title.strip(), text) for language, title, text in found if language in languages]


def block(page: str, title: str) -> str:
    (text,) = (text for words, text in blocks(DOCS / page, "python") if words == f'title="{title}"')
    return text


def links() -> list[str]:
    """What the README links to or shows, without other hosts and anchors."""
    targets = re.findall(r"\]\(([^)#\s]+)", (ROOT / "README.md").read_text())
    return sorted({target for target in targets if "://" not in target})


@pytest.mark.parametrize("target", links())
def test_a_link_of_the_readme_leads_somewhere(target):
    assert (ROOT / target).is_file()


def commands() -> list[tuple[str, list[str]]]:
    """(page, words) of every `simeval VERB ...` in a block, comments and continuations taken care of."""
    found = []
    for page in (ROOT / "README.md", *PAGES):
        for _, text in blocks(page, "bash", "", "sh"):
            for line in text.replace("\\\n", " ").splitlines():
                if line.lstrip().startswith("simeval "):
                    found.append((str(page.relative_to(ROOT)), shlex.split(line, comments=True)[1:]))
    return found


def navigated(part: object) -> list[str]:
    if isinstance(part, str):
        return [part]
    parts = part.values() if isinstance(part, dict) else part
    return [page for each in parts for page in navigated(each)]


def test_every_page_is_in_the_navigation_once():
    assert sorted(navigated(SITE["nav"])) == [str(page.relative_to(DOCS)) for page in PAGES]


def test_there_are_commands():
    assert len(commands()) > 30


@pytest.mark.parametrize(("page", "words"), commands(), ids=lambda value: " ".join(value)[:60] if value else "")
def test_a_command_of_the_documentation_has_options_that_exist(page, words):
    verb, *rest = words
    assert verb in VERBS, f"{page}: no verb {verb}"
    options = {name for parameter in VERBS[verb].params for name in parameter.opts} | {"--help"}
    for word in rest:
        if word.startswith("--"):
            assert word.partition("=")[0] in options, f"{page}: simeval {verb} has no {word}"
    if verb == "list":
        assert rest[0] in LISTS
    for word in rest:
        if word.startswith("configs/"):
            assert (ROOT / word).is_file(), f"{page}: no {word}"


@pytest.mark.parametrize(("page", "words"), commands(), ids=lambda value: " ".join(value)[:60] if value else "")
def test_a_condition_of_the_documentation_can_be_parsed(page, words):
    searches = {"threshold": strength_ranges, "worst": lambda texts: space_of(texts, 1).candidates}
    parsed = searches.get(words[0], lambda texts: parse_sweep(*texts))
    for option, value in itertools.pairwise(words):
        if option == "--perturb" and not value.startswith(("my.", "latency.profile:", "...")):
            assert parsed([value]), page


def named_files() -> list[tuple[str, str]]:
    """(page, path) of every path in backticks that starts with one of our folders."""
    pattern = re.compile(r"`((?:simeval|envs|perturbations|configs|tests|docker)/[A-Za-z0-9_/.-]*)`")
    return sorted({(str(page.relative_to(DOCS)), path) for page in PAGES for path in pattern.findall(page.read_text())})


@pytest.mark.parametrize(("page", "path"), named_files())
def test_a_file_that_the_documentation_names_exists(page, path):
    assert (ROOT / path).exists(), page


def places() -> list[tuple[str, str, str]]:
    """(page, path, name) of the tables that say what to change where."""
    row = re.compile(r"^\| `([a-z_/]+\.py)` \| ([^|]*) \|$", re.MULTILINE)
    return [
        (str(page.relative_to(DOCS)), path, name)
        for page in PAGES
        for path, text in row.findall(page.read_text())
        for name in re.findall(r"`(\w+)`", text)
    ]


@pytest.mark.parametrize(("page", "path", "name"), places())
def test_a_place_that_has_to_be_changed_is_there(page, path, name):
    assert re.search(rf"\b{name}\b", (ROOT / path).read_text()), f"{page}: {path} has no {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_python_on_a_page_compiles(page):
    for title, text in blocks(page, "python"):
        compile(text, title or str(page), "exec")


@pytest.mark.usefixtures("registry")
def test_the_axis_of_the_how_to_page_keeps_the_laws(tmp_path):
    path = tmp_path / "my_axes.py"
    path.write_text(block("how-to/add-an-axis.md", "my_axes.py"))
    plugins.load(plugins.read((str(path),)))
    check_perturbation("my.vignette")


def test_the_training_loop_of_the_how_to_page_evaluates_the_model(tmp_path, monkeypatch, capsys):
    class MyPolicy(ZeroPolicy):
        def __init__(self, network, fingerprint):
            self.spec = replace(ZeroPolicy().spec, fingerprint=fingerprint)

    text = block("how-to/add-a-policy.md", "in a training loop").replace("libero_spatial", "toy").replace("0-4", "0")
    monkeypatch.chdir(tmp_path)
    exec(text, {"step": 100, "network": None, "MyPolicy": MyPolicy})
    assert capsys.readouterr().out.count("failure") == 2
    assert (tmp_path / "results" / "step-100" / "manifest.json").exists()


def test_the_chapter_of_the_how_to_page_is_made_of_a_stored_run():
    from simeval.report.blocks import ArtifactCollector
    from simeval.report.collect import report_data
    from simeval.store.run import Run

    namespace: dict = {}
    exec(block("how-to/add-a-chapter.md", "simeval/report/chapters/steps.py"), namespace)
    (section,) = report_data([Run.load(ROOT / "results" / "quickstart")]).sections
    artifacts = ArtifactCollector()
    chapter = namespace["steps_chapter"](section, artifacts)
    assert [row[0] for row in chapter.blocks[0].rows] == ["none", "noise:0.05"]
    assert list(artifacts.tables) == ["steps.csv"]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if re.search("^ *--8", page.read_text(), re.MULTILINE)], ids=str
)
def test_a_file_that_a_page_includes_is_written_as_the_site_reads_it(page):
    """A formatter of code takes the mark for Python, and puts blanks into it: the page would show the mark."""
    for line in re.findall("^ *--8.*$", page.read_text(), re.MULTILINE):
        found = re.fullmatch('--8<-- "([^"]+)"', line)
        assert found is not None, line
        assert (ROOT / found[1]).is_file()


@pytest.fixture(scope="module")
def hooks():
    pytest.importorskip("mkdocs")
    sys.path.insert(0, str(DOCS))
    try:
        yield importlib.import_module("hooks")
    finally:
        sys.path.remove(str(DOCS))


PAGE = SimpleNamespace(file=SimpleNamespace(src_uri="page.md"))
"""What the hooks read of a page of MkDocs."""


def test_lists_and_command_line_are_made_from_the_code(hooks):
    made = {name: "\n".join(maker()) for name, maker in hooks.MAKERS.items() if name != "api"}
    for verb in VERBS:
        assert f"## simeval {verb} " in made["command-line"]
    assert "--episode-timeout" in made["command-line"]
    for axis in axes():
        assert f"### `{axis.name}`" in made["axes"]
    assert "libero_90" in made["suites"]
    assert "seeker" in made["policies"]
    assert "### `openvla` (default)" in made["protocols"]
    assert "| out of time | was still on its way to the block when time was up |" in made["stages"]
    assert "| at a thing | 0.03 m |" in made["stage-thresholds"].replace("fingertip to surface: ", "")


def test_a_page_gets_what_it_asks_for_and_nothing_else(hooks):
    from mkdocs.exceptions import PluginError

    page = hooks.on_page_markdown("# A\n\n<!-- made: suites -->\n", page=PAGE)
    assert "| `toy` | 4 |" in page
    with pytest.raises(PluginError, match="nothing is made by the name 'suits'"):
        hooks.on_page_markdown("<!-- made: suits -->", page=PAGE)


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://unpkg.com/x.js"></script>',
        '<link rel="stylesheet" href="https://fonts.googleapis.com/css">',
        "<img alt=x src=//example.org/x.png>",
    ],
)
def test_a_page_that_loads_from_another_host_is_refused(hooks, tag):
    from mkdocs.exceptions import PluginError

    assert hooks.on_post_page('<a href="https://example.org">x</a><img src="x.png">', page=PAGE)
    with pytest.raises(PluginError, match="loads something from another host"):
        hooks.on_post_page(f"<body>{tag}</body>", page=PAGE)


def test_every_axis_that_a_camera_shows_has_an_image():
    from axis_pictures import AXES, pictured

    images = {path.stem for path in AXES.glob("*.jpg")}
    assert images == {info.name for info in axes() if pictured(info)}
    assert sum(path.stat().st_size for path in AXES.glob("*.jpg")) < 1_500_000
