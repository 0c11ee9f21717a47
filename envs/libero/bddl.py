"""Reads LIBERO's task files (BDDL, a planning language in parentheses)."""

import re
from collections.abc import Iterator
from pathlib import Path

from envs.goals import Goal
from envs.tasks import SceneContents

type _Node = str | list["_Node"]


def _parse(text: str) -> list[_Node]:
    stack: list[list[_Node]] = [[]]
    for token in re.findall(r"[()]|[^\s()]+", re.sub(r";.*", "", text).lower()):
        if token == "(":
            stack.append([])
        elif token == ")":
            closed = stack.pop()
            stack[-1].append(closed)
        else:
            stack[-1].append(token)
    return stack[0]


def _words(node: _Node) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    else:
        for child in node:
            yield from _words(child)


def _atoms(node: _Node) -> Goal:
    if node[0] == "and":
        return tuple(atom for child in node[1:] for atom in _atoms(child))
    return (tuple(_words(node)),)


def read_bddl(path: Path) -> tuple[Goal, SceneContents]:
    """Read the goal of a task and what is in its scene."""
    (definition,) = _parse(path.read_text())
    sections = {node[0]: node[1:] for node in definition if isinstance(node, list)}
    regions = {}
    for region in sections[":regions"]:
        attributes = {entry[0]: entry[1:] for entry in region[1:]}
        regions[f"{attributes[':target'][0]}_{region[0]}"] = tuple(_words(list(attributes.get(":ranges", []))))
    names = {word for part in (":objects", ":fixtures") for word in _declared(sections[part])}
    placements = {
        atom[1]: (atom[0], atom[2], *regions.get(atom[2], ()))
        for atom in (tuple(_words(node)) for node in sections[":init"])
        if len(atom) == 3
    }
    return _atoms(sections[":goal"][0]), SceneContents(frozenset(names | regions.keys()), placements)


def _declared(nodes: list[_Node]) -> Iterator[str]:
    """Names in a list such as `a_1 a_2 - a b_1 - b`; the word after each dash is a category."""
    words = list(_words(nodes))
    for i, word in enumerate(words):
        if word != "-" and (i == 0 or words[i - 1] != "-"):
            yield word
