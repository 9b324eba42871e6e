"""Run one stage of the pipeline: ``python -m stages activations --model NAME --dataset NAME``."""

import gc
import os
import sys
from importlib import import_module

from wor.process import interrupt, stage_flags


def main() -> None:
    stage, *options = sys.argv[1:] or [""]
    interrupt.set_stage(" ".join([stage, *options[1::2]]))
    interrupt.install_handlers()  # before torch is imported, which takes seconds
    if stage_flags.run_is_over():
        sys.exit(interrupt.EXIT_CODE)
    gc.disable()  # imports make much and drop little: collecting garbage takes a fifth of their time
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")  # a stage has a progress bar of its own
    from wor.errors import UserError
    from wor.pipeline import graph
    from wor.pipeline.stage import run_stage
    from wor.process.exit import one_line_errors

    with one_line_errors():
        if stage not in (stages := graph.load_graph()):
            raise UserError("stage", repr(stage), f"Name one of {', '.join(stages)}")
        module = import_module(f"stages.{stage}")
        gc.freeze()  # what is imported stays
        gc.enable()
        run_stage(stage, module.main, options, module.__doc__)


if __name__ == "__main__":
    main()
