"""Verb, object and place of LIBERO's instructions, held against a reviewed table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.suites import BUILT_IN as SUITES
from envs.suites import tasks
from perturbations.language.slots import Span, clauses, replaced

# Per clause: verb, objects, which one, place.
TABLE = {
    # libero_spatial
    "pick up the black bowl between the plate and the ramekin and place it on the plate": [
        ("pick up", ("black bowl",), "between the plate and the ramekin", ""),
        ("place", (), "", "on the plate"),
    ],
    "pick up the black bowl next to the ramekin and place it on the plate": [
        ("pick up", ("black bowl",), "next to the ramekin", ""),
        ("place", (), "", "on the plate"),
    ],
    "pick up the black bowl from table center and place it on the plate": [
        ("pick up", ("black bowl",), "from table center", ""),
        ("place", (), "", "on the plate"),
    ],
    "pick up the black bowl on the cookie box and place it on the plate": [
        ("pick up", ("black bowl",), "on the cookie box", ""),
        ("place", (), "", "on the plate"),
    ],
    "pick up the black bowl in the top drawer of the wooden cabinet and place it on the plate": [
        ("pick up", ("black bowl",), "in the top drawer of the wooden cabinet", ""),
        ("place", (), "", "on the plate"),
    ],
    "pick up the black bowl on the ramekin and place it on the plate": [
        ("pick up", ("black bowl",), "on the ramekin", ""),
        ("place", (), "", "on the plate"),
    ],
    "pick up the black bowl next to the cookie box and place it on the plate": [
        ("pick up", ("black bowl",), "next to the cookie box", ""),
        ("place", (), "", "on the plate"),
    ],
    "pick up the black bowl on the stove and place it on the plate": [
        ("pick up", ("black bowl",), "on the stove", ""),
        ("place", (), "", "on the plate"),
    ],
    "pick up the black bowl next to the plate and place it on the plate": [
        ("pick up", ("black bowl",), "next to the plate", ""),
        ("place", (), "", "on the plate"),
    ],
    "pick up the black bowl on the wooden cabinet and place it on the plate": [
        ("pick up", ("black bowl",), "on the wooden cabinet", ""),
        ("place", (), "", "on the plate"),
    ],
    # libero_object
    "pick up the alphabet soup and place it in the basket": [
        ("pick up", ("alphabet soup",), "", ""),
        ("place", (), "", "in the basket"),
    ],
    "pick up the cream cheese and place it in the basket": [
        ("pick up", ("cream cheese",), "", ""),
        ("place", (), "", "in the basket"),
    ],
    "pick up the salad dressing and place it in the basket": [
        ("pick up", ("salad dressing",), "", ""),
        ("place", (), "", "in the basket"),
    ],
    "pick up the bbq sauce and place it in the basket": [
        ("pick up", ("bbq sauce",), "", ""),
        ("place", (), "", "in the basket"),
    ],
    "pick up the ketchup and place it in the basket": [
        ("pick up", ("ketchup",), "", ""),
        ("place", (), "", "in the basket"),
    ],
    "pick up the tomato sauce and place it in the basket": [
        ("pick up", ("tomato sauce",), "", ""),
        ("place", (), "", "in the basket"),
    ],
    "pick up the butter and place it in the basket": [
        ("pick up", ("butter",), "", ""),
        ("place", (), "", "in the basket"),
    ],
    "pick up the milk and place it in the basket": [("pick up", ("milk",), "", ""), ("place", (), "", "in the basket")],
    "pick up the chocolate pudding and place it in the basket": [
        ("pick up", ("chocolate pudding",), "", ""),
        ("place", (), "", "in the basket"),
    ],
    "pick up the orange juice and place it in the basket": [
        ("pick up", ("orange juice",), "", ""),
        ("place", (), "", "in the basket"),
    ],
    # libero_goal
    "open the middle drawer of the cabinet": [("open", ("middle drawer of the cabinet",), "", "")],
    "put the bowl on the stove": [("put", ("bowl",), "", "on the stove")],
    "put the wine bottle on top of the cabinet": [("put", ("wine bottle",), "", "on top of the cabinet")],
    "open the top drawer and put the bowl inside": [
        ("open", ("top drawer",), "", ""),
        ("put", ("bowl",), "", "inside"),
    ],
    "put the bowl on top of the cabinet": [("put", ("bowl",), "", "on top of the cabinet")],
    "push the plate to the front of the stove": [("push", ("plate",), "", "to the front of the stove")],
    "put the cream cheese in the bowl": [("put", ("cream cheese",), "", "in the bowl")],
    "turn on the stove": [("turn on", ("stove",), "", "")],
    "put the bowl on the plate": [("put", ("bowl",), "", "on the plate")],
    "put the wine bottle on the rack": [("put", ("wine bottle",), "", "on the rack")],
    # libero_10
    "put both the alphabet soup and the tomato sauce in the basket": [
        ("put", ("alphabet soup", "tomato sauce"), "", "in the basket")
    ],
    "put both the cream cheese box and the butter in the basket": [
        ("put", ("cream cheese box", "butter"), "", "in the basket")
    ],
    "turn on the stove and put the moka pot on it": [
        ("turn on", ("stove",), "", ""),
        ("put", ("moka pot",), "", "on it"),
    ],
    "put the black bowl in the bottom drawer of the cabinet and close it": [
        ("put", ("black bowl",), "", "in the bottom drawer of the cabinet"),
        ("close", (), "", ""),
    ],
    "put the white mug on the left plate and put the yellow and white mug on the right plate": [
        ("put", ("white mug",), "", "on the left plate"),
        ("put", ("yellow and white mug",), "", "on the right plate"),
    ],
    "pick up the book and place it in the back compartment of the caddy": [
        ("pick up", ("book",), "", ""),
        ("place", (), "", "in the back compartment of the caddy"),
    ],
    "put the white mug on the plate and put the chocolate pudding to the right of the plate": [
        ("put", ("white mug",), "", "on the plate"),
        ("put", ("chocolate pudding",), "", "to the right of the plate"),
    ],
    "put both the alphabet soup and the cream cheese box in the basket": [
        ("put", ("alphabet soup", "cream cheese box"), "", "in the basket")
    ],
    "put both moka pots on the stove": [("put", ("moka pots",), "", "on the stove")],
    "put the yellow and white mug in the microwave and close it": [
        ("put", ("yellow and white mug",), "", "in the microwave"),
        ("close", (), "", ""),
    ],
    # libero_90, one of each form
    "close the top drawer of the cabinet and put the black bowl on top of it": [
        ("close", ("top drawer of the cabinet",), "", ""),
        ("put", ("black bowl",), "", "on top of it"),
    ],
    "put the butter at the back in the top drawer of the cabinet and close it": [
        ("put", ("butter",), "at the back", "in the top drawer of the cabinet"),
        ("close", (), "", ""),
    ],
    "open the top drawer of the cabinet and put the bowl in it": [
        ("open", ("top drawer of the cabinet",), "", ""),
        ("put", ("bowl",), "", "in it"),
    ],
    "put the black bowl at the back on the plate": [("put", ("black bowl",), "at the back", "on the plate")],
    "stack the black bowl at the front on the black bowl in the middle": [
        ("stack", ("black bowl",), "at the front", "on the black bowl in the middle")
    ],
    "stack the middle black bowl on the back black bowl": [
        ("stack", ("middle black bowl",), "", "on the back black bowl")
    ],
    "close the bottom drawer of the cabinet and open the top drawer": [
        ("close", ("bottom drawer of the cabinet",), "", ""),
        ("open", ("top drawer",), "", ""),
    ],
    "put the yellow and white mug to the front of the white mug": [
        ("put", ("yellow and white mug",), "", "to the front of the white mug")
    ],
    "put the right moka pot on the stove": [("put", ("right moka pot",), "", "on the stove")],
    "turn off the stove": [("turn off", ("stove",), "", "")],
    "put the frying pan under the cabinet shelf": [("put", ("frying pan",), "", "under the cabinet shelf")],
    "pick up the black bowl on the left and put it in the tray": [
        ("pick up", ("black bowl",), "on the left", ""),
        ("put", (), "", "in the tray"),
    ],
    "stack the left bowl on the right bowl and place them in the tray": [
        ("stack", ("left bowl",), "", "on the right bowl"),
        ("place", (), "", "in the tray"),
    ],
    "pick up the yellow and white mug and place it to the right of the caddy": [
        ("pick up", ("yellow and white mug",), "", ""),
        ("place", (), "", "to the right of the caddy"),
    ],
    "pick up the book in the middle and place it on the cabinet shelf": [
        ("pick up", ("book",), "in the middle", ""),
        ("place", (), "", "on the cabinet shelf"),
    ],
}


def read(text):
    return [
        (
            clause.verb,
            tuple(span.of(text) for span in clause.objects),
            clause.where.of(text).strip() if clause.where else "",
            clause.place.of(text) if clause.place else "",
        )
        for clause in clauses(text)
    ]


@pytest.mark.parametrize("text", TABLE)
def test_slots_are_those_of_the_table(text):
    assert read(text) == TABLE[text]


@pytest.mark.parametrize("suite", SUITES)
def test_every_instruction_of_the_suites_has_slots(suite):
    for task in tasks(suite):
        text = task.instruction
        found = clauses(text)
        assert found
        for clause in found:
            assert clause.verb_span.of(text) == clause.verb
            assert clause.place_noun is None or clause.place.of(text).endswith(clause.place_noun.of(text))
            assert clause.where is None or clause.where.start == clause.objects[-1].end
        assert any(clause.objects for clause in found)
        if suite in ("libero_spatial", "libero_object", "libero_goal", "libero_10"):
            assert text in TABLE


@pytest.mark.parametrize(
    "text", ["", "bowl", "fetch the bowl", "put", "pick up", "the bowl on the plate", "please put it"]
)
def test_other_wording_has_no_slots(text):
    assert clauses(text) == ()


@given(
    st.lists(
        st.sampled_from(["put ", "pick up ", "the ", "bowl ", "on ", "and ", "it ", "both ", "x "]), max_size=12
    ).map("".join)
)
def test_any_text_can_be_read(text):
    for clause in clauses(text):
        assert all(span.of(text) for span in (clause.verb_span, *clause.objects))


def test_words_are_replaced_where_they_stand():
    text = "put the bowl on the bowl"
    assert replaced(text, [(Span(8, 12), "cup"), (Span(20, 24), "large plate")]) == "put the cup on the large plate"
    assert replaced(text, [(Span(8, 12), "")]) == "put the on the bowl"
