"""The `wor` command."""


def main() -> None:
    """Run the command that the command line names; the entry point of `wor`."""
    from wor.process import interrupt

    interrupt.install_handlers()  # the imports that follow take a third of a second
    from wor.process.exit import ignore_build_settings, one_line_errors, print_in_any_encoding, require_docstrings

    ignore_build_settings()
    from wor.cli.app import app

    print_in_any_encoding()
    with one_line_errors():
        require_docstrings()
        app(prog_name="wor")
