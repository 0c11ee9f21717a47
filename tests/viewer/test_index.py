"""The index of a run's rows: the same episodes as the whole reader has, whatever happens to the file meanwhile."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from simeval.core.checksums import sealed_line
from simeval.core.errors import ConfigError
from simeval.store.run import Run
from simeval.viewer.cells import suite_maps
from simeval.viewer.filters import Filter, Stages, choices
from simeval.viewer.index import RunIndex
from simeval.viewer.library import Library, NotShown

COLUMNS = (
    *("id", "pair_id", "suite", "task", "init_state", "repeat", "condition"),
    *("outcome", "steps", "first_success", "reached"),
)


def index_of(folder) -> RunIndex:
    run = Run.load(folder)
    return RunIndex(folder / "episodes.jsonl", run.manifest, frozenset())


@pytest.fixture
def run(results, tmp_path):
    shutil.copytree(results / "toy", tmp_path / "toy")
    return tmp_path / "toy"


def same(index: RunIndex, folder) -> bool:
    expected = Run.load(folder).table(COLUMNS)
    found = index.rows().table()[list(COLUMNS)]
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    return True


def test_it_has_the_episodes_of_the_whole_reader_in_the_same_order(run):
    assert same(index_of(run), run)


def test_every_episode_is_found_by_its_id_and_its_row_is_read_from_its_place(run):
    index = index_of(run)
    rows = index.rows()
    for result in Run.load(run).results:
        position = rows.find(result.spec.id)
        assert rows.id(position) == result.spec.id
        assert index.result(rows, position) == result


@pytest.mark.parametrize(
    "id_", ["", "toy", "toy/0/init00/none", "toy/9/init00/none/r0", "toy/0/init0/none/r0", "toy/x/init00/none/r0",
            "../0/init00/none/r0", "toy/0/init00/none/r0/..", "toy/٣/init00/none/r0"],
)  # fmt: skip
def test_other_ids_are_of_no_episode(run, id_):
    assert index_of(run).rows().find(id_) is None


def test_rows_that_are_appended_while_it_reads_are_read_once_and_a_torn_line_is_not(run):
    path = run / "episodes.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"")
    index, seen = index_of(run), []
    for number, line in enumerate(lines):
        half = len(line) // 2
        with path.open("ab") as file:
            file.write(line[:half])
        assert len(index.rows()) == number, "half a line is no row"
        with path.open("ab") as file:
            file.write(line[half:])
        seen.append(index.rows())
    assert [len(rows) for rows in seen] == list(range(1, len(lines) + 1))
    assert same(index, run)


def test_a_torn_line_that_a_resumed_run_cuts_off_is_forgotten(run):
    path = run / "episodes.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:50])
    index = index_of(run)
    assert len(index.rows()) == 3
    path.write_bytes(b"".join(lines[:3]))  # as JsonlAppender.cut_torn_line
    assert len(index.rows()) == 3
    path.write_bytes(whole)
    assert same(index, run)


@pytest.mark.parametrize("kept", [0, 2])
def test_a_file_that_was_cut_or_written_anew_is_read_from_its_start(run, kept):
    path = run / "episodes.jsonl"
    index = index_of(run)
    assert len(index.rows()) == 20
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:kept]))
    assert len(index.rows()) == kept
    path.unlink()
    assert len(index.rows()) == 0
    path.write_bytes(b"".join(reversed(lines)))
    assert same(index, run)


def test_a_later_attempt_takes_the_place_of_an_error(run):
    path = run / "episodes.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    broken = {key: value for key, value in lines[1].items() if key != "crc"} | {"outcome": "error"}
    path.write_bytes(sealed_line(broken) + path.read_bytes())
    index = index_of(run)
    assert same(index, run)
    with path.open("ab") as file:
        file.write(sealed_line(broken))
    rows = index.rows()
    assert index.result(rows, rows.find(broken["id"])).outcome == "error"
    assert same(index, run)


def test_a_damaged_line_is_said_and_an_empty_or_missing_file_is_no_run_yet(run):
    path = run / "episodes.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"x" + whole)
    with pytest.raises(ConfigError, match="line 1 "):
        index_of(run).rows()
    path.unlink()
    rows = index_of(run).rows()
    assert len(rows) == 0
    assert (list(rows.flip), suite_maps(rows), choices(rows, Stages())) == ([], (), {})


def test_a_row_whose_file_was_replaced_is_refused(run):
    path = run / "episodes.jsonl"
    index = index_of(run)
    rows = index.rows()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[-1] + b"".join(lines[:-1]))
    with pytest.raises(ConfigError, match="replaced while it was read"):
        index.result(rows, 0)


def test_flips_are_those_of_the_pairs_and_the_map_counts_them(run):
    results = {result.spec.id: result for result in Run.load(run).results}
    clean = {r.spec.pair_id: r.outcome for r in results.values() if r.spec.condition == "none"}
    rows = index_of(run).rows()
    signs = {("success", "failure"): 1, ("failure", "success"): -1}
    for position in range(len(rows)):
        result = results[rows.id(position)]
        assert rows.flip[position] == signs.get((clean[result.spec.pair_id], result.outcome), 0)
    assert (rows.flip != 0).any(), "or nothing was tested"
    (table,) = suite_maps(rows)
    assert table.rows[0].condition == "none"
    from simeval.analysis.by_task import cell_drops

    expected = {(cell.condition, cell.task): cell for cell in cell_drops(Run.load(run).episodes)}
    cells = [(row.condition, cell) for row in table.rows[1:] for cell in row.cells]
    assert len(cells) == len(expected)
    for condition, cell in cells:
        same_cell = expected[condition, cell.task]
        assert (cell.pairs, cell.harmed, cell.helped) == (same_cell.pairs, same_cell.harmed, same_cell.helped)
        assert cell.drop == same_cell.drop
        assert (cell.shade > 0, cell.shade < 0) == (same_cell.drop > 0, same_cell.drop < 0)


def test_filters_add_up_and_offer_what_there_is(run):
    rows = index_of(run).rows()
    offered = choices(rows, Stages())
    assert set(offered) >= {"task", "condition", "outcome", "flip"}
    assert "suite" not in offered, "there is one"
    assert "stage" not in offered, "none is known"
    for name, values in offered.items():
        for one in values:
            assert np.count_nonzero(Filter(**{name: one.value}).mask(rows, Stages())) == one.count > 0
    both = Filter(task="2", outcome="failure").mask(rows, Stages())
    assert np.array_equal(both, Filter(task="2").mask(rows, Stages()) & Filter(outcome="failure").mask(rows, Stages()))
    assert Filter.of(both_query := {"task": "2", "flip": "any", "page": "3"}).query() == {"task": "2", "flip": "any"}
    assert both_query


def test_a_stage_is_a_filter_where_it_is_known(run):
    rows = index_of(run).rows()
    stages = Stages(("reach", "grasp"), np.arange(len(rows)) % 3 - 1)
    assert [(one.value, one.count) for one in choices(rows, stages)["stage"]] == [("reach", 7), ("grasp", 6)]
    assert np.flatnonzero(Filter(stage="grasp").mask(rows, stages)).tolist() == list(range(2, 20, 3))


def test_runs_are_found_below_the_folder_and_links_are_not_followed(results, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(results / "toy", root / "study" / "a")
    shutil.copytree(results / "toy", root / "study" / "a" / "inside")
    (root / "link").symlink_to(results / "toy")
    (root / "damaged").mkdir()
    (root / "damaged" / "manifest.json").write_text("{}")
    library = Library(root)
    assert library.listing().not_shown == NotShown(linked=1)
    assert [entry.name for entry in library.listing().entries] == ["study/a", "damaged"]
    assert library.get("study/a").policy == "seeker"
    for name in ("link", "../results/toy", str(results / "toy"), "study", "study/a/inside", ""):
        with pytest.raises(ConfigError, match="there is no run"):
            library.get(name)
    with pytest.raises(ConfigError, match="not a manifest"):
        library.get("damaged")
    assert [entry.name for entry in Library(results / "toy").listing().entries] == ["toy"], "a run itself"


def test_runs_that_are_not_shown_are_counted_by_the_reason(tmp_path, tmp_path_factory, monkeypatch):
    def run(*parts: str) -> None:
        (tmp_path.joinpath(*parts)).mkdir(parents=True)
        (tmp_path.joinpath(*parts) / "manifest.json").write_text("{}")

    run("a", "b", "c", "shown")
    run("a", "b", "c", "d", "deep")
    run("a", "b", "c", "d", "e", "f", "deeper")
    run("a", "b", "c", "shown", "traces", "not a run of its own")
    run(".trash", "hidden twice")
    run(".hidden")
    (tmp_path / "to a run of the list").symlink_to(tmp_path / "a" / "b" / "c" / "shown")
    (tmp_path / "to its parent").symlink_to(tmp_path / "a")
    (tmp_path / "to one that is too deep").symlink_to(tmp_path / "a" / "b" / "c" / "d" / "deep")
    (tmp_path / "out").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    (tmp_path / "to a file").symlink_to(tmp_path / "a" / "b" / "c" / "shown" / "manifest.json")
    (tmp_path / "to nothing").symlink_to(tmp_path / "nothing")
    listing = Library(tmp_path).listing()
    assert [entry.name for entry in listing.entries] == ["a/b/c/shown"]
    assert listing.not_shown == NotShown(deeper=2, linked=1, hidden=1)
    text = (
        "2 runs more than 4 folders down; 1 link to a folder elsewhere, which is not followed; 1 run in a hidden folder"
    )
    assert listing.not_shown.text == text
    monkeypatch.setattr("simeval.viewer.library.FARTHEST", 1)
    assert Library(tmp_path).listing().not_shown.text.endswith("folders farther down were not all looked into")


def edited(run, change) -> None:
    """Write the rows of a run with `change` made to the last one."""
    rows = [json.loads(line) for line in (run / "episodes.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("crc", None)
    change(rows[-1])
    (run / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: row["spec"].update(root_seed=5), "has seed 5, the run 0"),
        (lambda row: row["spec"].update(max_steps=7), "does not start as its pair does"),
    ],
    ids=["seed", "limits"],
)
def test_rows_of_another_run_are_refused_as_the_whole_reader_does(run, change, said):
    index = index_of(run)
    index.rows()
    edited(run, change)
    for read in (index.rows, lambda: index_of(run).rows(), lambda: Run.load(run).table(COLUMNS)):
        with pytest.raises(ConfigError, match=f"has a row of another run: .*{said}"):
            read()


def test_a_pair_that_does_not_start_alike_is_said(run):
    edited(run, lambda row: row.update(start_digest="0" * 16))
    stored = [row["start_digest"] for row in map(json.loads, (run / "episodes.jsonl").read_text().splitlines())]
    shown = index_of(run).rows().table()
    assert sorted(shown["start_digest"]) == sorted(stored)
