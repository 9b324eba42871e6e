"""Run one stage of the pipeline: ``python -m stages activations --model NAME --dataset NAME``."""

import gc
import os
import signal
import sys
from importlib import import_module

from wor.process import interrupt, stage_flags


def main() -> None:
    """Run the stage that the command line names first. The other arguments are its options."""
    stage, *options = sys.argv[1:] or [""]
    if stage_flags.FOLDER in os.environ:
        interrupt.end_with_parent(signal.SIGINT)
    interrupt.set_stage(" ".join([stage, *options[1::2]]))
    interrupt.install_handlers()  # before the import of torch, which takes seconds
    if stage_flags.run_is_over() or (stage_flags.FOLDER in os.environ and os.getppid() == 1):  # it ended before the call
        interrupt.exit_interrupted()
    gc.disable()  # garbage collection would take a fifth of the imports' time
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")  # a stage shows its own progress bar
    from wor.process.exit import ignore_build_settings, one_line_errors, print_in_any_encoding, require_docstrings

    ignore_build_settings()
    from wor.errors import UserError
    from wor.pipeline import graph
    from wor.pipeline.stage import run_stage

    print_in_any_encoding()
    with one_line_errors():
        require_docstrings()
        if stage not in (stages := graph.load_graph()):
            raise UserError("stage", repr(stage), f"Name one of {', '.join(stages)}")
        module = import_module(f"stages.{stage}")
        gc.freeze()  # imported objects stay
        gc.enable()
        run_stage(stage, module.main, options, module.__doc__)


if __name__ == "__main__":
    main()
