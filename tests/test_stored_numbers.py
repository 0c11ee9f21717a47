"""What the documentation says of stored rows is what they say."""

import pytest
from documented import ROOT, drift
from documented.claims import Claim
from stored_numbers import PAGES, statements

STATEMENTS = list(statements())


@pytest.mark.parametrize("statement", STATEMENTS, ids=range(len(STATEMENTS)))
def test_the_documentation_says_what_the_rows_say(statement):
    content = (ROOT / statement.file).read_text()
    assert statement.written(content) == content, "python tests/stored_numbers.py writes it"


def test_the_word_that_the_documentation_gives_to_drift_is_the_verdict():
    assert f"drift is *{drift.study().verdict.word}*" in " ".join((ROOT / drift.PAGE).read_text().split())


def test_no_page_is_left_out():
    modules = (ROOT / "tests" / "documented").glob("*.py")
    with_statements = {module.stem for module in modules if "\ndef statements()" in module.read_text()}
    assert {page.__name__ for page in PAGES} == {f"documented.{name}" for name in with_statements}


@pytest.mark.parametrize("content", ["", "is 1 of 2", "is 1 % here, is 2 % there"])
def test_a_claim_that_is_not_there_exactly_once_is_an_error(content):
    with pytest.raises(ValueError, match="times instead of once"):
        Claim("README.md", "is {rate} %", {"rate": "3.0"}).written(content)


def test_a_claim_changes_its_numbers_alone():
    claim = Claim("README.md", "is {rate} % of {n}", {"rate": "-3.5", "n": "20"})
    assert claim.written("it is 1.0 %\nof 7 runs") == "it is -3.5 %\nof 20 runs"
