"""`galclass train`."""

from __future__ import annotations

from dataclasses import replace

import click

from galclass.cli.options import cluster_option, on_cluster, with_config
from galclass.config import Config


@click.command()
@with_config
@click.option("--resume", is_flag=True, help="Require resuming from the checkpoint; an error if there is none.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@click.option(
    "--initial-weights",
    metavar="package|FILE",
    help="Start from the model in the package, an .onnx file or a checkpoint (train.initial_weights).",
)
@click.option("--images-from", type=click.Choice(["prepared", "database"]), default="prepared", show_default=True)
@cluster_option
def train(
    config: Config, resume: bool, quiet: bool, initial_weights: str | None, images_from: str, cluster: str | None
) -> None:
    """Train a model on the prepared cutouts; writes WORKSPACE/training/.

    An interrupted run resumes where it stopped, a finished one is left unchanged. With --images-from database the
    labelled images in the database are prepared, used for training and evaluated, and the model is registered. With
    fewer than 250 labelled training objects it stops early; `galclass finetune` is better then.

    Example: galclass train --config configs/demo.toml --set train.num_epochs=20
    """
    config = on_cluster(config, cluster)
    if initial_weights is not None:
        config = replace(config, train=replace(config.train, initial_weights=initial_weights))
    if images_from == "database":
        if resume:
            raise click.UsageError("--resume works with prepared images; training from the database resumes by itself")
        from galclass.pipeline import train_from_database

        for result in train_from_database(config, progress=not quiet):
            click.echo(str(result.summary))
        return
    if config.cluster.address is not None:
        from galclass.cluster.stages import train_stage

        click.echo(train_stage(config, resume=resume, progress=not quiet))
        return
    from galclass.train import train as run_training

    click.echo(run_training(config, resume=resume, progress=not quiet))
