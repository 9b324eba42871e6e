"""Settings of libraries for the whole process."""

from transformers.utils import logging


def quiet_libraries() -> None:
    """Turn off the progress bars and advice of transformers. A stage shows its own."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
