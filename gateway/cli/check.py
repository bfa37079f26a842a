"""`vision-gateway check`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from gateway.monitoring.dataset import BadFolder, Picture, check, files_of, read_folder, read_truth

_SHOWN = 10


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--annotations", type=click.Path(path_type=Path), help="Its boxes, as COCO JSON: labels are checked too.")
@click.option("--reference", type=click.Path(path_type=Path), help="A folder of pictures that these ought to be like.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--strict", is_flag=True, help="Fail where there is any problem.")
def command(folder: Path, annotations: Path | None, reference: Path | None, as_json: bool, strict: bool) -> None:
    """What is wrong with the pictures in FOLDER: broken files, duplicates, odd sizes, labels, drift."""
    try:
        truth = None if annotations is None else read_truth(annotations)
        pictures, broken = _read(folder)
        ought = [] if reference is None else _read(reference)[0]
        report = check(pictures, broken, truth, ought)
    except BadFolder as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(report))
    else:
        for line in _lines(report):
            click.echo(line)
    if strict and report["problems"]:
        sys.exit(1)


def _read(folder: Path) -> tuple[list[Picture], dict[str, str]]:
    files = files_of(folder)
    with tqdm(files, unit=" pictures", file=sys.stderr, disable=None) as bar:
        return read_folder(folder, bar)


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"{report['pictures']} pictures, {report['problems']} problems"
    yield from _some("broken", [f"{name}: {reason}" for name, reason in report["broken"].items()])
    yield from _some("the same file more than once", [", ".join(names) for names in report["duplicates"]["exact"]])
    yield from _some("nearly the same", [", ".join(names) for names in report["duplicates"]["near"]])
    yield from _some("odd sizes", [f"{name}: {reason}" for name, reason in report["odd_sizes"].items()])
    if labels := report["labels"]:
        counts = [f"{label} {count} ({count / max(1, labels['boxes']):.1%})" for label, count in labels["counts"].items()]
        yield from _some(f"{labels['boxes']} boxes of {len(counts)} labels", counts)
        yield from _some("labels with too few boxes to learn or judge by", labels["rare"])
        yield from _some("labels that never occur", labels["never"])
        yield from _some("pictures without a box", labels["without_boxes"])
        yield from _some("files that are not there", labels["missing_files"])
        yield from _some("boxes outside of their picture", labels["boxes_outside"])
    if report["drift"] is not None:
        moved = [row for row in report["drift"] if row["drifted"]]
        yield "\nas the reference" if not moved else "\nnot as the reference:"
        for row in moved:
            yield f"  {row['property']}: gap {row['distance']:.2f}; the median was {row['before']:.3g}, it is {row['now']:.3g}"


def _some(what: str, found: list[str]) -> Iterator[str]:
    if found:
        yield f"\n{what}: {len(found)}"
        yield from (f"  {one}" for one in found[:_SHOWN])
        if len(found) > _SHOWN:
            yield f"  … and {len(found) - _SHOWN} more (--json has all)"
