"""Where caches are: a moved folder would compile every scene again, and leave gigabytes behind."""

import pytest

from envs.caches import cache_folder


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (None, "{home}/.cache/simeval/scenes"),
        ("", "{home}/.cache/simeval/scenes"),
        ("{home}/elsewhere", "{home}/elsewhere/simeval/scenes"),
    ],
)
def test_the_cache_is_where_linux_has_it(tmp_path, monkeypatch, variable, expected):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if variable is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", variable.format(home=tmp_path))
    assert str(cache_folder("scenes")) == expected.format(home=tmp_path)
    assert not list(tmp_path.iterdir()), "and nothing is made"
