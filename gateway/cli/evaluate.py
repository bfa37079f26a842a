"""`vision-gateway evaluate`."""

import json
from pathlib import Path

import click

from local_model.evaluate import BadDataset, evaluate


@click.command()
@click.option("--images", required=True, type=click.Path(path_type=Path), help="A folder of pictures.")
@click.option("--annotations", required=True, type=click.Path(path_type=Path), help="Their boxes, as COCO JSON.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def command(images: Path, annotations: Path, as_json: bool) -> None:
    """AP of the in-house model on pictures with known boxes."""
    try:
        result = evaluate(images, annotations)
    except BadDataset as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo(f"AP {result['ap']:.3f}   AP50 {result['ap50']:.3f}   {result['images']} images, {result['images_per_s']:.1f} a second")
    click.echo(f"model {result['model']}")
