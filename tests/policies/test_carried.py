"""Which file is missing from a language model that a checkpoint carries."""

import shutil

import pytest

from simeval.policies.checkpoint.carried import incomplete


@pytest.fixture
def vlm(tiny_smolvla, tmp_path):
    return shutil.copytree(tiny_smolvla / "vlm", tmp_path / "vlm")


def test_whole_ones_lack_nothing(vlm):
    assert incomplete(vlm) is None
    (vlm / "processor_config.json").rename(vlm / "preprocessor_config.json")
    (vlm / "tokenizer.json").unlink()
    (vlm / "vocab.json").write_text("{}")
    assert incomplete(vlm) is None


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "tokenizer_config.json", "processor_config.json"])
def test_a_missing_or_damaged_file_is_named(vlm, file):
    (vlm / file).write_text("{")
    assert incomplete(vlm) == f"its vlm/{file} is damaged"
    (vlm / file).write_text("[]")
    assert incomplete(vlm) == f"its vlm/{file} is damaged"
    (vlm / file).unlink()
    assert incomplete(vlm) == f"its vlm/ has no {file}"


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_an_object_of_another_kind_is_damaged(vlm, file):
    (vlm / file).write_text("{}")
    assert incomplete(vlm) == f"its vlm/{file} is damaged"
