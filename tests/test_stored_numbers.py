"""What the documentation says of stored rows is what they say."""

import pytest
from stored_numbers import DRIFT, ROOT, Claim, statements, study

STATEMENTS = list(statements())


@pytest.mark.parametrize("statement", STATEMENTS, ids=range(len(STATEMENTS)))
def test_the_documentation_says_what_the_rows_say(statement):
    content = (ROOT / statement.file).read_text()
    assert statement.written(content) == content, "python tests/stored_numbers.py writes it"


def test_the_word_that_the_documentation_gives_to_drift_is_the_verdict():
    assert f"drift is *{study().verdict.word}*" in " ".join((ROOT / DRIFT).read_text().split())


@pytest.mark.parametrize("content", ["", "is 1 of 2", "is 1 % here, is 2 % there"])
def test_a_claim_that_is_not_there_exactly_once_is_an_error(content):
    with pytest.raises(ValueError, match="times instead of once"):
        Claim("README.md", "is {rate} %", {"rate": "3.0"}).written(content)


def test_a_claim_changes_its_numbers_alone():
    claim = Claim("README.md", "is {rate} % of {n}", {"rate": "-3.5", "n": "20"})
    assert claim.written("it is 1.0 %\nof 7 runs") == "it is -3.5 %\nof 20 runs"
