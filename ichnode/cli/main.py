"""ichnode: the entry of the command line. Every verb is a module beside this one."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ichnode import __version__
from ichnode.cli import (
    analyse,
    config,
    deliver,
    demo,
    doctor,
    echo,
    receive,
    replay,
    resend,
    rules,
    run,
    send,
    show,
    status,
    work,
)
from ichnode.cli.context import ERR, Exit, Options
from ichnode.domain.errors import ConfigError, IchnodeError, Rejected, Retryable

EPILOG = (
    "Exit codes: 0 done; 1 the answer is no (a check failed, nothing found, not all delivered); 2 wrong command line "
    "or configuration; 3 images that can never be analysed; 4 try again later; 70 a defect of ichnode. "
    "Research only: not a medical device."
)

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
        typer.Option("--config", envvar="ICHNODE_CONFIG", help="config.toml; else ./ and then /etc/ichnode/."),
    ] = None,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.obj = Options(config_file)


SERVICES, OPERATE, IMAGES, SET_UP = "Services", "The queue", "Images by hand", "Set-up"
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
app.command("replay", rich_help_panel=OPERATE)(replay.replay)
app.command("resend", rich_help_panel=OPERATE)(resend.resend)
app.command("analyse", rich_help_panel=IMAGES)(analyse.analyse)
app.command("send", rich_help_panel=IMAGES)(send.send)


def main() -> None:
    """Runs one verb. An error is one sentence and a hint, never a traceback."""
    try:
        app()
    except IchnodeError as error:
        ERR.print(f"ichnode: {error}", style="bold red", markup=False)
        if error.hint:
            ERR.print(f"         {error.hint}", markup=False)
        sys.exit(_exit_code(error))
    except PermissionError as error:
        ERR.print(f"ichnode: no permission for {error.filename}", style="bold red", markup=False)
        ERR.print("         Run as the user of the service: sudo -u ichnode ichnode ...", markup=False)
        sys.exit(Exit.USAGE)


def _exit_code(error: IchnodeError) -> Exit:
    for kind, code in ((ConfigError, Exit.USAGE), (Rejected, Exit.REJECTED), (Retryable, Exit.LATER)):
        if isinstance(error, kind):
            return code
    return Exit.DEFECT
