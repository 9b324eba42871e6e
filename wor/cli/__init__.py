"""The `wor` command."""


def main() -> None:
    """Run the command that the command line names; the entry point of `wor`."""
    from wor.process import commands, interrupt

    commands.ignore_build_settings()
    interrupt.install_handlers()  # the imports that follow take a third of a second
    from wor.cli.app import app
    from wor.process.exit import one_line_errors, print_in_any_encoding

    print_in_any_encoding()
    with one_line_errors():
        commands.require_docstrings()
        app(prog_name="wor")
