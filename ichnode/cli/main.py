"""ichnode: the entry of the command line. Every verb is a module beside this one."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from ichnode import __version__
from ichnode.cli import (
    acknowledge,
    analyse,
    audit,
    backup,
    cohort,
    config,
    deliver,
    demo,
    doctor,
    echo,
    evaluate,
    onset,
    outcomes,
    phantom,
    purge,
    receive,
    reference,
    release,
    replay,
    resend,
    rules,
    run,
    send,
    show,
    status,
    train,
    weights,
    work,
)
from ichnode.cli.context import ERR, EXIT_MEANING, Exit, NothingFound, Options
from ichnode.domain.errors import ConfigError, IchnodeError, Rejected, Retryable
from ichnode.service import failure, trace

EXIT_CODES = "; ".join(f"{code:d} {meaning}" for code, meaning in EXIT_MEANING.items())
EPILOG = f"Exit codes: {EXIT_CODES}. Research only: not a medical device."

app = typer.Typer(
    name="ichnode",
    help="A DICOM node for head CT: finds the intracerebral haematoma and answers the PACS with SEG, SR and a picture.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ichnode {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            envvar="ICHNODE_CONFIG",
            help="The configuration; else ./config.toml, then /etc/ichnode/config.toml.",
        ),
    ] = None,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.obj = Options(config_file)


SERVICES, OPERATE, IMAGES, SET_UP = "Services", "The queue", "Images by hand", "Set-up"
TRAINING = "Weights: cohorts, training, evaluation"
app.command("demo", rich_help_panel=SET_UP)(demo.demo)
app.command("doctor", rich_help_panel=SET_UP)(doctor.doctor)
app.command("echo", rich_help_panel=SET_UP)(echo.echo)
app.add_typer(config.app, name="config", rich_help_panel=SET_UP)
app.add_typer(rules.app, name="rules", rich_help_panel=SET_UP)
app.command("run", rich_help_panel=SERVICES)(run.run)
app.command("receive", rich_help_panel=SERVICES)(receive.receive)
app.command("work", rich_help_panel=SERVICES)(work.work)
app.command("deliver", rich_help_panel=SERVICES)(deliver.deliver)
app.command("status", rich_help_panel=OPERATE)(status.status)
app.command("show", rich_help_panel=OPERATE)(show.show)
app.command("acknowledge", rich_help_panel=OPERATE)(acknowledge.acknowledge)
app.command("replay", rich_help_panel=OPERATE)(replay.replay)
app.command("resend", rich_help_panel=OPERATE)(resend.resend)
app.command("purge", rich_help_panel=OPERATE)(purge.purge)
app.command("release", rich_help_panel=OPERATE)(release.release)
app.command("backup", rich_help_panel=OPERATE)(backup.backup)
app.command("onset", rich_help_panel=OPERATE)(onset.onset)
app.command("outcomes", rich_help_panel=OPERATE)(outcomes.outcomes)
app.add_typer(audit.app, name="audit", rich_help_panel=OPERATE)
app.command("analyse", rich_help_panel=IMAGES)(analyse.analyse)
app.command("send", rich_help_panel=IMAGES)(send.send)
app.add_typer(cohort.app, name="cohort", rich_help_panel=TRAINING)
app.command("phantom", rich_help_panel=TRAINING)(phantom.phantom)
app.command("train", rich_help_panel=TRAINING)(train.train)
app.command("evaluate", rich_help_panel=TRAINING)(evaluate.evaluate)
app.add_typer(weights.app, name="weights", rich_help_panel=TRAINING)
app.command("reference", hidden=True)(reference.reference)


def main() -> None:
    """Runs one verb. An error is one sentence and a hint, never a traceback."""
    os.umask(0o077)  # what the node keeps are patients' images: nothing of it for any other user
    try:
        app()
    except IchnodeError as error:
        sys.exit(_told(str(error), error.hint, _exit_code(error)))
    except PermissionError as error:
        hint = "Run it as the user of the service: `sudo -u ichnode ichnode ...` (docs/how-to/install.md)."
        sys.exit(_told(f"No permission for {error.filename}.", hint, Exit.USAGE))
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
        sys.exit(_told(f"The system refused: {what}.", "`ichnode doctor` checks disk, folders and ports.", Exit.LATER))
    except SQLAlchemyError as error:
        hint = "`ichnode doctor` checks the state folder; a backed-up queue.sqlite can be put back."
        sys.exit(_told(f"The queue cannot be used: {failure(error)}.", hint, Exit.LATER))
    except Exception as error:  # noqa: BLE001 - the last word of the command line, where a traceback would stand
        hint = "Please report this line: it holds no data of a patient."
        sys.exit(_told(f"A defect of ichnode: {trace(error)}", hint, Exit.DEFECT))


def _told(sentence: str, hint: str, code: Exit) -> Exit:
    ERR.print(f"ichnode: {sentence}", style="bold red", markup=False, soft_wrap=True)
    if hint:
        ERR.print(f"         {hint}", markup=False, soft_wrap=True)
    return code


def _exit_code(error: IchnodeError) -> Exit:
    kinds = ((NothingFound, Exit.NO), (ConfigError, Exit.USAGE), (Rejected, Exit.REJECTED), (Retryable, Exit.LATER))
    return next((code for kind, code in kinds if isinstance(error, kind)), Exit.DEFECT)
