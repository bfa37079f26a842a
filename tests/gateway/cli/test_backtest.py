import pytest
from click.testing import CliRunner

from gateway.cli.backtest import command


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--budget", "5"], "1 records, and none of the providers a has 10"),
        (["--budget", "1e400"], "more than a ledger can hold"),
        (["--budget", "nan"], "must be 0 or more dollars"),
        (["--budget", "much"], "'much' is not an amount"),
        (["--budget", "5", "--seed", "-1"], "not in the range"),
        (["--budget", "5", "--train", "0.001"], "leave none to fit on"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(tmp_path, more, told):
    (tmp_path / "R.csv").write_text("true_label,label_a\n" + "1,1\n" * 3)
    (tmp_path / "prices.json").write_text('{"R": {"apis": {"a": {"usd_per_call": 0.001}}}}')
    run = CliRunner().invoke(command, [str(tmp_path / "R.csv"), "--prices", str(tmp_path / "prices.json"), *more])
    assert isinstance(run.exception, SystemExit)
    assert told in run.output
