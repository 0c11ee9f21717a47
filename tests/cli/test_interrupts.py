"""A Ctrl-C stays one when a library answers it with another exception, as NumPy does while it is imported."""

import pytest

from simeval.cli.process import carry_out
from simeval.core.errors import ConfigError, ends_process
from simeval.core.interrupts import is_interrupt


def broken_import() -> None:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise ImportError("numpy.core.multiarray failed to import") from None


def broken_frame() -> None:
    try:
        broken_import()
    except ImportError as error:
        raise ConfigError("frame 3: ImportError") from error


@pytest.mark.parametrize("fails", [broken_import, broken_frame])
def test_what_a_ctrl_c_became_ends_like_a_ctrl_c(fails, capsys):
    assert carry_out(lambda **_: fails(), ["run"]) == 130
    assert capsys.readouterr().err.strip() == "interrupted; the same command resumes"
    with pytest.raises((ImportError, ConfigError)) as raised:
        fails()
    assert is_interrupt(raised.value)
    assert ends_process(raised.value)


def test_other_errors_are_no_ctrl_c(capsys):
    def fails(**_):
        raise ConfigError("frame 3: broken") from ImportError("no module")

    assert carry_out(fails, ["run"]) == 2
    assert capsys.readouterr().err == "simeval: frame 3: broken\n"
