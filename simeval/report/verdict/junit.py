"""JUnit XML of a gate: one test case per condition, as GitLab, Jenkins and GitHub actions read it.

Non-obvious behaviour:
- "Cannot tell" is a skipped test, not a failed one: nothing is known to be wrong. The exit code fails the job.
- The root has no count of skipped tests: Jenkins' xUnit plugin refuses a file in which it has one.
- XML 1.0 has no way to write most control characters, so they are escaped as on a terminal.
"""

import re
from itertools import groupby
from xml.etree import ElementTree

from simeval.analysis.gate import Gate, Judged
from simeval.core.texts import escaped
from simeval.report.format import decimal, p_value, with_interval
from simeval.report.verdict.text import headline, methods, why

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TAGS = {"regression": "failure", "not comparable": "error", "cannot tell": "skipped"}


def junit_xml(gate: Gate) -> bytes:
    """The file, UTF-8."""
    root = ElementTree.Element("testsuites", name="simeval")
    suites = [(suite, list(rows)) for suite, rows in groupby(gate.conditions, key=lambda row: row.evidence.suite)]
    if not suites:
        suite = _suite(root, "simeval", [gate.verdict])
        case = ElementTree.SubElement(suite, "testcase", classname="simeval", name="comparable", time="0")
        error = ElementTree.SubElement(case, "error", message=_safe(gate.reason), type=gate.verdict)
        error.text = _safe(gate.reason)
    for name, rows in suites:
        suite = _suite(root, _safe(name), [row.verdict for row in rows])
        _properties(suite, gate)
        for row in rows:
            _case(suite, row, gate)
        ElementTree.SubElement(suite, "system-out").text = _safe(
            "\n".join([headline(gate), methods(gate), *gate.notes])
        )
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    root.set("time", "0")
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _suite(root: ElementTree.Element, name: str, verdicts: list[str]) -> ElementTree.Element:
    tags = [TAGS.get(verdict, "") for verdict in verdicts]
    return ElementTree.SubElement(
        root,
        "testsuite",
        name=name,
        tests=str(len(tags)),
        failures=str(tags.count("failure")),
        errors=str(tags.count("error")),
        skipped=str(tags.count("skipped")),
        time="0",
    )


def _properties(suite: ElementTree.Element, gate: Gate) -> None:
    properties = ElementTree.SubElement(suite, "properties")
    values = {
        "verdict": gate.verdict,
        "exit_code": str(gate.exit_code),
        "margin_points": decimal(gate.margin),
        **({"A": gate.a, "B": gate.b} if gate.kind == "compare" else {"policy": gate.a}),
    }
    for name, value in values.items():
        ElementTree.SubElement(properties, "property", name=name, value=_safe(value))


def _case(suite: ElementTree.Element, row: Judged, gate: Gate) -> None:
    one = row.evidence
    case = ElementTree.SubElement(
        suite, "testcase", classname=_safe(f"simeval.{one.suite}"), name=_safe(one.condition), time="0"
    )
    numbers = _safe(
        f"{row.verdict}: {why(row, gate.margin)}\n"
        f"pairs {one.n}, A {decimal(one.a)} %, B {decimal(one.b)} %, only A {one.only_a}, only B {one.only_b}\n"
        f"gain, points [95 % CI]: {with_interval(one.gain, one.interval)}; p {p_value(row.p)}, adjusted by Holm"
    )
    if tag := TAGS.get(row.verdict):
        found = ElementTree.SubElement(case, tag, message=_safe(why(row, gate.margin)), type=row.verdict)
        found.text = numbers
    ElementTree.SubElement(case, "system-out").text = numbers


def _safe(text: str) -> str:
    return _NOT_XML.sub("\ufffd", "\n".join(map(escaped, text.split("\n"))))
