"""`docs/damaged-files.md`: each damage that it lists is made here, and the line that follows is the one it says."""

import os
import shutil
from pathlib import Path

import dataset_fixture
import pytest
from damage import AUDITS, DATASETS, DOCUMENT, RECIPES, RUNS, Damage, listed
from helpers import refusal, toy_config

from simeval.api import audit, evaluate
from simeval.config.audit import AuditConfig
from simeval.core.errors import ConfigError
from simeval.drift.frames.from_dataset import DatasetFrames
from simeval.policies.base import PolicySpec
from simeval.store.audit import Audit

POLICY = PolicySpec("somebody's", 8, ("agentview", "wrist"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return evaluate(toy_config(tmp_path_factory.mktemp("damage") / "RUN", tasks="0", perturb=("noise:0.3",))).folder


@pytest.fixture(scope="module")
def audited(finished) -> Path:
    folder = finished.parent / "AUDIT"
    audit(AuditConfig(run=str(finished), perturb=("noise:0.3",), out=str(folder)))
    return folder


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("damage") / "DATASET"
    episodes = dataset_fixture.gray(["fold the towel", "open the drawer"], size=64)
    return dataset_fixture.write(folder, episodes, video=True)


def check(kind: str, words: str, said: str) -> None:
    if os.environ.get("SIMEVAL_WRITE_DAMAGE"):  # see the end of the document
        with Path(os.environ["SIMEVAL_WRITE_DAMAGE"]).open("a") as file:
            file.write(f"| {kind} | {words} | `{said}` |\n")
        return
    assert listed()[f"{kind}: {words}"] == said


def words_of(item: object) -> str | None:
    return item.words if isinstance(item, Damage) else None


@pytest.mark.parametrize("damage", RUNS, ids=words_of)
def test_a_damaged_run_is_the_line_of_the_table(finished, tmp_path, damage):
    folder = Path(shutil.copytree(finished, tmp_path / "RUN"))
    damage.do(folder)
    check(damage.verb, damage.words, refusal(damage.verb, folder).replace(str(tmp_path), "").replace("/RUN", "RUN"))


@pytest.mark.parametrize("damage", AUDITS, ids=words_of)
def test_a_damaged_audit_is_the_line_of_the_table(audited, tmp_path, damage):
    folder = Path(shutil.copytree(audited, tmp_path / "AUDIT"))
    damage.do(folder)
    with pytest.raises(ConfigError) as caught:
        print(Audit.load(folder).rows)
    check("audit", damage.words, str(caught.value).replace(f"{tmp_path}/", ""))


@pytest.mark.parametrize("damage", DATASETS, ids=words_of)
def test_a_broken_dataset_is_the_line_of_the_table(demonstrations, tmp_path, damage):
    folder = Path(shutil.copytree(demonstrations, tmp_path / "DATASET"))
    damage.do(folder)
    with pytest.raises(ConfigError) as caught:
        DatasetFrames.open(str(folder), policy=POLICY)
    said = str(caught.value).replace(f"{tmp_path}/", "")
    assert "hub" not in said or "a hub id would be" in said
    check("dataset", damage.words, said)


@pytest.mark.parametrize(("words", "content"), RECIPES, ids=[words for words, _ in RECIPES])
def test_a_broken_recipe_is_the_line_of_the_table(tmp_path, words, content):
    path = tmp_path / "R.yaml"
    if content is not None:
        path.write_bytes(content)
    check("recipe", words, refusal("plan", "--config", path).replace(f"{tmp_path}/", ""))


def test_the_document_lists_what_is_tested_and_nothing_else():
    tested = {f"{d.verb}: {d.words}" for d in RUNS} | {f"recipe: {words}" for words, _ in RECIPES}
    for kind, damages in {"dataset": DATASETS, "audit": AUDITS}.items():
        tested |= {f"{kind}: {damage.words}" for damage in damages}
    assert set(listed()) == tested
    assert min(len(RUNS), len(DATASETS), len(AUDITS)) >= 25
    assert DOCUMENT.exists()
