"""The console script: one module a command, imported only when it runs."""

import importlib
import os

import click

# Our matrices are small: threads of the linear algebra cost ten times what they bring. Read when numpy is loaded, which is later.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_COMMANDS = {
    "serve": "one gateway in the foreground",
    "up": "gateway and model server together, as `make run` starts them",
    "keys": "who may call: list, create, revoke",
    "budgets": "what may be spent: list, set, end",
    "report": "what was spent, as a table",
    "reconcile": "a provider's invoice against the ledger",
    "ledger": "verify every entry and sum; back up; confirm the clock",
    "records": "pictures that several providers answered: count, export, import",
    "tune": "learn from records when another answer is worth its price; list versions, go back",
    "compare": "a folder of pictures shown to several providers: which is better, at what price, and where they differ",
    "backtest": "recorded answers replayed: is another answer worth its price?",
    "canary": "the same pictures again: has a vendor changed its model?",
    "check": "broken files, duplicates, odd sizes, labels and drift in a folder of pictures",
    "evaluate": "AP of the in-house model on a folder of pictures with boxes",
}


class LazyGroup(click.Group):
    """Commands by name: `--help` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """Every command's name."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command in the module of the same name."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"gateway.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list in `--help`."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """One REST API in front of image detection, under exact budgets."""
