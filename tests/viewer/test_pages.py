"""The pages over HTTP: what they show, what they refuse, and that nothing from a run is taken for markup."""

import html
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode

import pytest
from audits import write_audit
from helpers import call
from viewers import open_viewer

from simeval.analysis.success import analyse
from simeval.core.checksums import sealed_line
from simeval.report.format import headline, with_drop, with_interval
from simeval.store.run import Run
from simeval.store.stages import SUCCESS, EpisodeStage, read_stages, twin_digests, write_stages

ID = "toy/0/init00/noise=0.3/r0"


class Links(HTMLParser):
    """Addresses of a page, and the tags that it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links, self.tags, self.loaded = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        if tag == "a":
            self.links.append(given["href"])
        if tag in ("link", "script", "img", "video", "source", "iframe"):
            self.loaded += [given[name] for name in ("src", "href") if given.get(name)]
        assert not [name for name in given if name.startswith("on")], "no script in an attribute"


def episode(id_: str = ID, **more: str) -> str:
    return f"/episode?{urlencode({'run': 'toy', 'id': id_, **more})}"


def test_every_page_is_reached_by_links_and_loads_nothing_from_elsewhere(client):
    seen, left = set(), ["/"]
    while left:
        address = left.pop()
        if address in seen:
            continue
        seen.add(address)
        answer = client.get(address)
        assert answer.status_code == 200, address
        page = Links(answer.text)
        assert all(name.startswith("/static/") for name in page.loaded)
        assert all(link.startswith("/") and not link.startswith("//") for link in page.links)
        left += page.links
    assert {address.partition("?")[0] for address in seen} == {"/", "/run", "/episodes", "/episode"}
    assert sum(address.startswith("/episode?") for address in seen) > 20


def test_the_numbers_are_those_that_show_prints(client, results):
    page = html.unescape(client.settled("/run?run=toy").text)
    analysis = analyse(Run.load(results / "toy").episodes)
    assert headline("seeker", analysis).replace("`", "") in re.sub(r"</?code>", "", page)
    for row in analysis.rates:
        assert with_interval(row.rate, row.interval) in page
    for row in analysis.drops:
        assert with_drop(row) in page
    assert "20 of 20 episodes" in page
    assert "finished" in page


@pytest.mark.parametrize("address", ["/", "/run?run=toy"])
def test_the_scenes_stand_beside_the_numbers(client, results, address):
    assert Run.load(results / "toy").manifest["assets"] in html.unescape(client.get(address).text)


def test_a_cell_of_the_map_leads_to_its_episodes_and_a_flip_to_its_twin(client):
    run = Links(client.get("/run?run=toy").text)
    (cell,) = [link for link in run.links if link == "/episodes?run=toy&task=2&condition=light%3A0.1"]
    listed = Links(client.get(cell).text)
    ids = [link for link in listed.links if link.startswith("/episode?")]
    assert len(ids) == 2
    page = client.get(ids[0]).text
    assert "<b>clean</b>" in page
    assert "<b>light:0.1</b>" in page
    assert page.count("<video") == 2
    assert "When they diverged is not known; <code>simeval show " in page, "nothing is computed by looking"
    assert "commanded by the policy" in page


def test_an_episode_shows_its_row(client, results):
    result = next(r for r in Run.load(results / "toy").results if r.spec.id == ID)
    page = client.get(episode()).text
    for text in (result.instruction, result.outcome, f"{result.steps} of {result.spec.max_steps}", "levels of 255"):
        assert str(text) in page
    assert page.count('class="chart"') == 9


def test_next_and_previous_stay_among_the_chosen(client):
    first = Links(client.get("/episodes?run=toy&outcome=failure").text)
    ids = [link for link in first.links if link.startswith("/episode?")]
    walked = [ids[0]]
    while True:
        page = client.get(walked[-1]).text
        found = re.search(r'id="next" href="([^"]+)"', page)
        if not found:
            break
        walked.append(found[1].replace("&amp;", "&"))
    assert walked == ids
    assert f"{len(ids)} of {len(ids)}" in page
    assert 'id="previous"' in page


def test_pages_of_a_list_are_cut(results, cache, monkeypatch):
    monkeypatch.setattr("simeval.viewer.app.PAGE", 8)
    client = open_viewer(results, cache)
    counts = [client.get(f"/episodes?run=toy&page={n}").text.count('<th scope="row">') for n in (1, 2, 3, 4, 0)]
    assert counts == [8, 8, 4, 4, 8], "beyond the last page is the last"
    assert "page 2 of 3" in client.get("/episodes?run=toy&page=2").text


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("/run", "there is no run &#39;&#39; here"),
        ("/run?run=../../etc", "there is no run &#39;../../etc&#39; here"),
        ("/run?run=tpy", "there is no run &#39;tpy&#39; here; did you mean &#39;toy&#39;?"),
        ("/episode?run=toy&id=toy/0/init00/none/r9", "there is no episode"),
        ("/episode?run=toy&id=../../../etc/passwd", "there is no episode"),
        (episode(view="small"), "view=small: there is no such view; known: policy, large<"),
        (episode(step="-1"), "step=-1: not a whole number"),
        ("/episodes?run=toy&page=x", "page=x: not a whole number"),
        ("/episodes?run=toy&condition=noise:0.4", "condition=noise:0.4: this run has none; did you mean"),
        ("/episodes?run=toy&task=1e3", "task=1e3: not the number of a task"),
        ("/episodes?run=toy&stage=grasp", "stage=grasp: this run has none"),
        ("/episodes?run=toy&flip=<b>", "flip=&lt;b&gt;"),
        ("/compare?run=toy", "choose 2 to 6 runs, not 1"),
        ("/clips?run=toy&id=x", "there is no episode"),
        ("/nothing", "there is no page /nothing"),
    ],
)
def test_bad_addresses_are_refused_in_a_line(client, address, says):
    answer = client.get(address)
    assert answer.status_code == 404
    assert says in answer.text


@pytest.mark.parametrize(
    "address",
    [
        "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/base.html.j2", "/static/",
        "/clip/..%2f..%2fetc%2fpasswd.mp4", "/clip/" + "a" * 40 + ".mp4", "/clip/../x.mp4", "/clip/.mp4",
        "/clip/%00.mp4",
    ],
)  # fmt: skip
def test_only_named_files_are_given(client, address):
    assert client.get(address).status_code == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "localhost.", "[::2]"]
)
def test_other_names_of_this_machine_are_not_answered(client, host):
    answer = client.get("/", Host=host)
    assert answer.status_code == 421
    assert "toy" not in answer.text


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:8765", "LOCALHOST"])
def test_its_own_names_are(client, host):
    assert client.get("/", Host=host).status_code == 200


def test_pages_of_other_sites_may_link_here_and_nothing_else(client):
    asked = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"}
    assert client.get(f"/clips?run=toy&id={ID}", **asked).status_code == 403
    framed = asked | {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"}
    assert client.get("/", **framed).status_code == 403
    followed = asked | {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert client.get("/", **followed).status_code == 200
    assert client.get("/", **asked | {"Sec_Fetch_Site": "same-origin"}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_only_reads(client, method):
    assert client.get("/", method=method).status_code == 405


def test_browsers_are_told_what_a_page_may_do(client):
    for address in ("/", "/static/viewer.js", "/nothing", episode()):
        headers = client.get(address).headers
        assert "script-src 'self';" in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"


def test_with_a_token_nothing_is_shown_without_it(results, cache):
    client = open_viewer(results, cache, token="secret")
    for address in ("/", "/static/viewer.css", "/?token=", "/?token=Secret", "/?token=secre", "/?token=%C3%A9"):
        answer = client.get(address)
        assert answer.status_code == 403, address
        assert "toy" not in answer.text
    assert client.get("/", Cookie="simeval_view_8765=other").status_code == 403
    signed = client.get(f"{episode(step='3')}&token=secret", Host="gpu-server:8765")
    assert signed.status_code == 303
    assert "token" not in signed.headers["location"]
    assert signed.headers["location"] == episode(step="3")
    cookie = signed.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert client.get(signed.headers["location"], Cookie=cookie.partition(";")[0], Host="x").status_code == 200
    assert (
        client.get("http://127.0.0.1:8765//evil.example/?token=secret").headers["location"].startswith("/evil.example")
    ), "this host"


def spoilt(row: dict, **changes) -> bytes:
    return sealed_line({key: value for key, value in row.items() if key != "crc"} | changes)


def test_texts_of_a_run_are_not_markup(results, cache, tmp_path):
    """Names of folders and policies, instructions, errors and flags may say anything."""
    bad = "<script>alert(1)</script>\u202e\x1b[31m"
    folder = tmp_path / "results" / "<img src=x>&'\""
    shutil.copytree(results / "toy", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["identity"]["policy"]["name"] = manifest["assets"] = bad
    manifest["notes"] = [bad]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    path = folder / "episodes.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    texts = {"instruction": bad, "error_text": bad, "flags": [bad.replace(" ", "")], "approached": bad, "goal": bad}
    path.write_bytes(b"".join(spoilt(row, **texts, hits=[[bad, 3]]) for row in rows))
    client = open_viewer(tmp_path / "results", cache)
    name = urlencode({"run": folder.name})
    addresses = ["/", f"/run?{name}", f"/episodes?{name}&flag=any", f"/episode?{name}&id={quote(ID)}"]
    addresses.append(f"/episodes?{name}&flag={quote(bad)}")
    for address in addresses:
        answer = client.settled(address)
        assert answer.status_code == 200, answer.text
        tags = Links(answer.text).tags
        assert tags.count("script") == 1, "ours"
        assert "img" not in tags
        assert "\u202e" not in answer.text
        assert "\x1b" not in answer.text
    assert "alert(1)" in client.get(addresses[-2]).text


def test_a_running_run_is_followed_and_an_unchanged_page_is_not_sent_again(results, cache, tmp_path):
    folder = tmp_path / "results" / "toy"
    shutil.copytree(results / "toy", folder)
    path = folder / "episodes.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:6]) + lines[6][:20])
    client = open_viewer(tmp_path / "results", cache)
    first = {address: client.settled(address) for address in ("/run?run=toy", "/", "/episodes?run=toy")}
    for address, answer in first.items():
        assert 'data-every="2000"' in answer.text, address
        assert client.get(address, If_None_Match=answer.headers["etag"]).status_code == 304
    assert "6 of 20 episodes" in first["/run?run=toy"].text
    assert "running" in first["/"].text
    path.write_bytes(b"".join(lines))
    for address, answer in first.items():
        again = client.get(address, If_None_Match=answer.headers["etag"])
        assert again.status_code == 200
        assert "20 of 20 episodes" in again.text
    assert "data-every" not in client.settled("/run?run=toy").text, "a finished run is not asked about"


def test_what_is_missing_or_damaged_is_said_on_the_page(results, cache, tmp_path):
    folder = tmp_path / "results" / "toy"
    shutil.copytree(results / "toy", folder)
    client = open_viewer(tmp_path / "results", cache)
    trace = folder / "traces" / f"{ID}.npz"
    trace.write_bytes(b"PK\x03\x04")
    assert "not a trace of simeval" in client.get(episode()).text
    trace.unlink()
    page = client.get(episode())
    assert (page.status_code, "its trace was not kept" in page.text) == (200, True)
    assert "Without both traces nothing is known" in page.text
    trace.symlink_to(results / "toy" / "traces" / f"{ID}.npz")
    (folder / "traces" / "toy" / "0" / "init01").rename(tmp_path / "elsewhere")
    (folder / "traces" / "toy" / "0" / "init01").symlink_to(tmp_path / "elsewhere")
    assert "is a link out of the run folder" in client.get(episode(ID.replace("init00", "init01"))).text
    (folder / "episodes.jsonl").write_bytes(b"x\n")
    answer = client.get("/run?run=toy")
    assert (answer.status_code, "line 1 is not an episode" in answer.text) == (404, True)
    assert client.get("/").status_code == 200


def test_a_pair_says_where_it_diverged_and_the_drift_there(results, cache, tmp_path):
    folder = Path(shutil.copytree(results / "toy", tmp_path / "results" / "toy"))
    run, (pair, other) = Run.load(folder), ("toy/0/init00/r0", "toy/0/init01/r0")
    write_stages(folder, [diverged_at(run, ID, 9), diverged_at(run, ID.replace("init00", "init01"), None)])
    client = open_viewer(tmp_path / "results", cache)
    page = client.get(episode()).text
    assert re.search(r'data-go="9">diverged at step 9: hands 6.2 cm apart</button>', page)
    assert "the hand is more than 5 cm from where it is in the unperturbed twin" in page
    assert "Never diverged while both ran" in client.get(episode(ID.replace("init00", "init01"))).text
    later = (pair, "noise:0.3", 10, 0, 0.9)
    write_audit(run, [(pair, "noise:0.3", 4, 0, 0.1234), (pair, "noise:0.3", 4, 1, 0.2234), later])
    page = client.get(episode()).text
    assert "step 4: 0.173" in page, "the mean of the seeds"
    assert "diverged at step 9: hands 6.2 cm apart; drift 0.173, audited at step 4</button>" in page
    write_audit(run, [later, (other, "noise:0.3", 4, 0, 0.777)])
    page = client.get(episode()).text
    assert "hands 6.2 cm apart</button>" in page, "a later frame says nothing"
    assert "no frame up to it was audited" in page
    assert "0.777" not in page, "another pair's"


def diverged_at(run: Run, id_: str, step: int | None) -> EpisodeStage:
    (result,) = [result for result in run.results if result.spec.id == id_]
    twin = twin_digests(run.results)[result.spec.pair_id]
    about = {"id": id_, "digest": result.state_digest, "twin": twin, "stage": "wrong object", "compared": True}
    return EpisodeStage(**about, divergence_step=step, divergence_m=None if step is None else 0.062)


def test_drift_that_is_not_of_these_episodes_is_not_shown(results, cache, tmp_path):
    folder = Path(shutil.copytree(results / "toy", tmp_path / "results" / "toy"))
    measured = [("toy/0/init00/r0", "noise:0.3", 4, 0, 0.1234)]
    write_audit(Run.load(folder), measured, policy={"name": "other", "n_action_steps": 8})
    client = open_viewer(tmp_path / "results", cache)
    page = html.unescape(client.get(episode()).text)
    assert "drift is not shown: " in page
    assert "is an audit of another policy, 'other'" in page
    assert "0.123" not in page
    audit = write_audit(Run.load(folder), measured)
    assert "step 4: 0.123" in client.get(episode()).text
    (audit / "drift.jsonl").write_bytes(sealed_line({"pair_id": "toy/0/init00/r0", "condition": "noise:0.3"}))
    assert "line 1 is not a row of an audit" in client.get(episode()).text


def test_the_list_says_what_it_leaves_out(results, cache, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(results / "toy", root / "toy")
    client = open_viewer(root, cache)
    assert "Not shown" not in client.get("/").text
    first = client.get("/").headers["etag"]
    shutil.copytree(results / "toy", root / "a" / "b" / "c" / "d" / "deep" / "run")
    shutil.copytree(results / "toy", root / "a" / "b" / "c" / "d" / "other")
    (root / "elsewhere").symlink_to(results)
    (root / "latest").symlink_to(root / "toy")
    page = client.get("/", If_None_Match=first)
    assert page.status_code == 200, "a page that is open gets it as well"
    assert (
        "Not shown: 2 runs more than 4 folders down; 1 link to a folder elsewhere, which is not followed." in page.text
    )
    assert "<code>simeval view FOLDER</code>" in page.text


def test_two_runs_are_compared_as_in_the_report(results, cache, tmp_path):
    for name in ("a", "b", "c"):
        shutil.copytree(results / "toy", tmp_path / "results" / name)
    client = open_viewer(tmp_path / "results", cache)
    page = client.get("/compare?run=a&run=b")
    assert page.status_code == 200
    assert "Success on toy" in page.text
    assert "<svg" in page.text
    assert "Ranks on toy" in client.get("/compare?run=a&run=b&run=c").text


def test_a_comparison_that_cannot_be_made_is_refused(results, cache, tmp_path, monkeypatch):
    for name in ("a", "b"):
        shutil.copytree(results / "toy", tmp_path / "results" / name)
    manifest = tmp_path / "results" / "b" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"protocol": "openvla"', '"protocol": "other"'))
    client = open_viewer(tmp_path / "results", cache)
    assert "do not start alike" in client.get("/compare?run=a&run=b").text
    monkeypatch.setattr("simeval.viewer.compared.MOST_ROWS", 30)
    assert "simeval compare " in client.get("/compare?run=a&run=b").text


def test_how_far_episodes_got_is_a_filter_once_it_is_stored(results, cache, tmp_path):
    folder = tmp_path / "results" / "toy"
    shutil.copytree(results / "toy", folder)
    client = open_viewer(tmp_path / "results", cache)
    assert 'name="stage"' not in client.get("/episodes?run=toy").text
    assert call("show", folder, "--stages").code == 0
    stages = {stage.id: stage for stage in read_stages(folder).values()}
    failed = [stage for stage in stages.values() if stage.stage not in (None, SUCCESS)]
    chosen = failed[0].stage
    page = client.get("/episodes?run=toy").text
    assert f'<option value="{chosen}">' in page
    listed = Links(client.get(f"/episodes?{urlencode({'run': 'toy', 'stage': chosen})}").text)
    ids = {parse_qs(link.partition("?")[2])["id"][0] for link in listed.links if link.startswith("/episode?")}
    assert ids == {stage.id for stage in failed if stage.stage == chosen}
    shown = client.get(episode(failed[0].id)).text
    assert f">{chosen}</b>" in shown
    path = folder / "episodes.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    again = [row | ({"state_digest": "0" * 16} if row["id"] == failed[0].id else {}) for row in rows]
    path.write_bytes(b"".join(map(spoilt, again)))
    assert f">{chosen}</b>" not in client.get(episode(failed[0].id)).text, "an episode that ran again has none"
    (folder / "stages.jsonl").write_text("x")
    assert "line 1 is damaged" in client.get("/run?run=toy").text
