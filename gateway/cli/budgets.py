"""`vision-gateway budgets`."""

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import get_args

import click

from cost.ledger import BadBudget, Budget, Ledger, LedgerUnavailable
from cost.ledger.terms import Scope, WhenExhausted
from cost.money import BadMoney, Money
from cost.windows import PERIODS, Period
from gateway.cli.common import open_database, print_table, read_settings
from gateway.wire.budgets import budget_out

_SCOPES = [kind for kind in get_args(Scope) if kind != "global"]


@click.group()
def command() -> None:
    """What may be spent: list, set and end budgets."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_budgets(as_json: bool) -> None:
    """Every budget, and what its present window has seen, in US dollars."""
    with _ledger() as ledger:
        budgets = [budget_out(status, ledger.now(), {}) for status in ledger.budgets()]
    if as_json:
        click.echo(json.dumps([one.model_dump(mode="json", exclude_none=True) for one in budgets]))
        return
    heads = ["name", "for", "every", "then", "limit", "settled", "reserved", "unknown", "remaining"]
    lines = [
        [
            *(one.name, " ".join(*one.scope.items()) if one.scope else "everybody", one.period, one.when_exhausted),
            *(one.limit_usd, one.settled_usd, one.reserved_usd, one.unknown_usd, one.remaining_usd),
        ]
        for one in budgets
    ]
    print_table([heads, *lines], 4)


@command.command("set")
@click.argument("name")
@click.option("--limit", required=True, metavar="USD", help="Dollars that each window may cost, such as 250.00.")
@click.option("--period", type=click.Choice(PERIODS), default="month", show_default=True)
@click.option("--timezone", default="UTC", show_default=True, help="In which windows begin.")
@click.option("--scope", type=(click.Choice(_SCOPES), str), metavar="KIND VALUE", help="`provider NAME`, `client NAME` or `tag KEY:VALUE`.")
@click.option("--when-exhausted", type=click.Choice(get_args(WhenExhausted)), default="degrade", show_default=True)
@click.option("--pacing", is_flag=True, help="Spread what is left over the window.")
@click.option("--alert-at", "alert_at", multiple=True, metavar="FRACTION", help="Of the limit, such as 0.8; may be given several times.")
def set_budget(
    name: str,
    limit: str,
    period: Period,
    timezone: str,
    scope: tuple[Scope, str] | None,
    when_exhausted: WhenExhausted,
    pacing: bool,
    alert_at: tuple[str, ...],
) -> None:
    """Make the budget NAME, or change it: a hard limit, in force at once."""
    kind, value = scope or ("global", "")
    try:
        alerts = tuple(sorted({Decimal(fraction) for fraction in alert_at}))
        budget = Budget(name, kind, value, period, timezone, Money.usd(limit), when_exhausted, pacing, alerts)
        with _ledger() as ledger:
            ledger.put_budget(budget, by=_who())
    except BadMoney as error:
        raise click.BadParameter("write dollars such as 250.00", param_hint="--limit") from error
    except InvalidOperation as error:
        raise click.BadParameter("write a fraction such as 0.8", param_hint="--alert-at") from error
    except BadBudget as error:
        raise click.ClickException("; ".join(f"{field}: {problem}" for field, problem in error.problems.items())) from error
    click.echo(f"The budget {name} is in force.")


@command.command()
@click.argument("name")
def end(name: str) -> None:
    """End the budget NAME; what it counted stays on record."""
    with _ledger() as ledger:
        if not ledger.delete_budget(name, by=_who()):
            raise click.ClickException(f"there is no budget {name!r}; `vision-gateway budgets list` shows them")
    click.echo(f"The budget {name} has ended.")


@contextmanager
def _ledger() -> Iterator[Ledger]:
    settings = read_settings()
    ledger = Ledger(open_database(settings), {}, spool=settings.spool)
    try:
        yield ledger
    except LedgerUnavailable as error:
        raise click.ClickException(f"the budget can't be recorded right now: {error}") from error
    finally:
        ledger.close()


def _who() -> str:
    return f"{getpass.getuser()} (command line)"
