"""`vision-gateway keys`."""

import json

import click
from pydantic import ValidationError

from gateway.cli.common import open_database, print_table, read_settings
from gateway.keys import ROLES, Keys, Role
from gateway.wire.keys import KeyIn, KeyOut, RateLimit, facts, make_key
from gateway.wire.mistakes import first_mistake


@click.group()
def command() -> None:
    """Who may call: list, create and revoke API keys."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_keys(as_json: bool) -> None:
    """Every key in use, without its secret."""
    keys = Keys(open_database(read_settings())).all()
    if as_json:
        click.echo(json.dumps([KeyOut(**facts(key)).model_dump(mode="json", exclude_none=True) for key in keys]))
        return
    lines = [[k.id, k.role, k.name, " ".join(f"{name}:{value}" for name, value in k.tags.items()), k.limits] for k in keys]
    print_table([["id", "role", "name", "tags", "limits"], *lines], 5)


@command.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="app", show_default=True)
@click.option("--tag", "tags", multiple=True, metavar="KEY:VALUE", help="Carried into the ledger; may be given several times.")
@click.option("--requests-per-s", type=click.IntRange(1), help="How many requests it may send in a second.")
@click.option("--pixels-per-s", type=click.IntRange(1), help="How many pixels of pictures it may send in a second.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def create(name: str, role: Role, tags: tuple[str, ...], requests_per_s: int | None, pixels_per_s: int | None, as_json: bool) -> None:
    """Make a key called NAME. Its token is printed, and can't be shown again."""
    pairs = {name: text for name, _, text in (tag.partition(":") for tag in tags)}
    if not all(pairs.values()):
        raise click.BadParameter("write each tag as KEY:VALUE", param_hint="--tag")
    if len(pairs) != len(tags):
        raise click.BadParameter("a tag is given twice", param_hint="--tag")
    try:
        limits = RateLimit(requests_per_s=requests_per_s, pixels_per_s=pixels_per_s)
        asked = KeyIn(name=name, role=role, tags=pairs, rate_limit=limits)
        key, token = make_key(Keys(open_database(read_settings())), asked)
    except ValidationError as error:
        raise click.ClickException(first_mistake(error, KeyIn).detail) from error
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps({"id": key.id, "name": key.name, "role": key.role, "key": token}) if as_json else token)


@command.command()
@click.argument("name_or_id")
def revoke(name_or_id: str) -> None:
    """Make a key useless. Processes that know it already forget it within five seconds."""
    if not Keys(open_database(read_settings())).revoke(name_or_id):
        raise click.ClickException(f"no key in use has the name or id {name_or_id!r}; `vision-gateway keys list` shows them")
    click.echo(f"{name_or_id} is revoked.")
