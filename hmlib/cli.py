"""The command ``hmlib``: reproduce the experiments, report them, and look after the data sets.

Everything but click is imported when a command needs it, so that ``hmlib --help`` answers at once.
"""

import click

from hmlib import __version__

RESULTS = click.option(
    "--results",
    type=click.Path(file_okay=False),
    help="Folder of the records. Default: data/results of the project for the profile paper, "
    "data/cache/results for the others.",
)


class _Group(click.Group):
    """A group whose commands end in a message, not in a traceback, when the user can mend it."""

    def invoke(self, ctx):
        from hmlib.experiments.store import ExperimentError

        try:
            return super().invoke(ctx)
        except ExperimentError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hmlib")
def main():
    """Reproduce the experiments of the book Waking and Dreaming."""


@main.command()
@click.argument("ids", nargs=-1)
@click.option("--profile", default="smoke", show_default=True, help="smoke, book or paper.")
@click.option("--jobs", default=1, show_default=True, help="Processes, each of one thread.")
@click.option("--dask", metavar="ADDRESS", help="Run on the Dask cluster of this scheduler.")
@RESULTS
@click.option("--force", is_flag=True, help="Execute again what has a record.")
@click.option("--list", "show", is_flag=True, help="List the experiments and leave.")
def reproduce(ids, profile, jobs, dask, results, force, show):
    """Execute what is missing of the experiments IDS, or of all.

    Every record is stored as soon as it is done. Stop with Ctrl-C, or be killed: the same command
    goes on where it was.
    """
    from hmlib import experiments

    if show:
        _print_table([_outline(experiments.find(name)) for name in experiments.EXPERIMENTS])
        return
    if not ids:
        raise click.UsageError("name an experiment, or all; hmlib reproduce --list shows them")
    if jobs == 0:
        raise click.UsageError("--jobs must not be 0 (-1: as many as there are cores)")
    for name in _chosen(ids):
        path = experiments.results_path(name, profile, results)
        try:
            records = experiments.reproduce(
                name, profile, jobs=jobs, dask=dask, results=results, force=force
            )
        except KeyboardInterrupt:
            click.echo(f"\nStopped. What was done is in {path}; run it again to go on.", err=True)
            raise SystemExit(130) from None
        click.echo(f"{name}: {len(records)} records of the profile {profile} in {path}")


@main.command()
@click.argument("ids", nargs=-1)
@click.option("--profile", default="paper", show_default=True, help="smoke, book or paper.")
@RESULTS
def report(ids, profile, results):
    """Print what the experiments IDS, or all, have come to; and the claims of the thesis.

    The claims, with a verdict on each, come last; the id ``claims`` stands for them alone.
    """
    from hmlib import experiments

    named = [name for name in ids if name != "claims"]
    for name in _chosen(named if ids else ["all"]):
        module = experiments.find(name)
        experiments.settings_of(module, profile)
        if not ids and not experiments.results_path(name, profile, results).exists():
            click.echo(f"{name}: no records yet of the profile {profile}")
            continue
        records = experiments.load_records(name, profile, results)
        click.echo(f"{name}, profile {profile}, {len(records)} records")
        _print_table(module.summary(records))
    if not ids or "claims" in ids:
        from hmlib.experiments import claims

        click.echo(f"claims of the thesis, profile {profile}")
        click.echo(claims.table(claims.claims(results, profile)))


@main.group(invoke_without_command=True)
@click.pass_context
def data(ctx):
    """List the data sets: where they were found, their checksums, how to get them."""
    if ctx.invoked_subcommand is None:
        from hmlib import datasets

        for name in datasets.NAMES:
            try:
                found = datasets.load(name, download=False)
                click.echo(
                    f"{name}: {len(found.x_train)} + {len(found.x_test)} images, "
                    f"from {found.source}\n  SHA-256      {found.sha256}\n"
                    f"  fingerprint  {found.fingerprint}"
                )
            except FileNotFoundError:
                click.echo(f"{name}: missing. To download it: hmlib data fetch {name}")
            except ValueError as error:
                click.echo(f"{name}: damaged. {error}")
        click.echo("To put files there by hand, see data/README.md.")


@data.command()
@click.argument("name")
def fetch(name):
    """Download the data set NAME into the cache, unless it is there."""
    from hmlib import datasets

    try:
        click.echo(repr(datasets.load(name)))
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None


def _chosen(ids):
    """Check the ids, and put all of them in place of ``all``."""
    from hmlib import experiments

    names = list(experiments.EXPERIMENTS) if "all" in ids else list(dict.fromkeys(ids))
    for name in names:
        experiments.find(name)
    return names


def _outline(module):
    n_runs = {name: len(module.runs(settings)) for name, settings in module.PROFILES.items()}
    what = module.__doc__.splitlines()[0]
    return {
        "experiment": module.NAME,
        **{f"runs ({k})": n for k, n in n_runs.items()},
        "what": what,
    }


def _print_table(rows):
    """Print dicts with the same names as lines with aligned columns."""

    def text(value):
        if value is None:
            return "-"
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    cells = (
        [list(rows[0]), *([text(value) for value in row.values()] for row in rows)] if rows else []
    )
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in cells:
        click.echo("  ".join(f"{cell:{width}}" for cell, width in zip(line, widths)).rstrip())
