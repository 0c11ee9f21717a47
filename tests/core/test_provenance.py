"""What a manifest says of the packages that rows depend on."""

import sys

import pytest

from simeval.core import provenance


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    """An installed third-party package of policies, and another one."""
    for name in ("lerobot_policy_mine", "lerobot_camera_mine"):
        place = tmp_path / f"{name}-1.2.dist-info"
        place.mkdir()
        (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    provenance.lerobot_plugins.cache_clear()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield
    provenance.lerobot_plugins.cache_clear()


def test_third_party_policies_are_among_the_versions_of_a_learned_policy(third_party):
    assert provenance.lerobot_plugins() == {"lerobot_policy_mine": "1.2"}
    assert provenance.versions(learned_policy=True)["lerobot_policy_mine"] == "1.2"
    assert "lerobot_policy_mine" not in provenance.versions(learned_policy=False)


def test_without_them_the_versions_are_the_pinned_ones():
    provenance.lerobot_plugins.cache_clear()
    assert tuple(provenance.versions(learned_policy=True)) == provenance.PINNED
    assert tuple(provenance.versions(learned_policy=False)) == provenance.PINNED[:4]
