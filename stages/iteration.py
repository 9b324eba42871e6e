"""Stage iteration: write this run to an immutable folder, with a row in the registry."""

from wor import paths, storage
from wor.iterations.registry import iteration_number
from wor.process import stage_flags
from wor.recording.create import create_iteration
from wor.report import terminal


def main(params, log):
    log.info(f"recording into {paths.experiments()}")
    outcome = create_iteration(params, log.record())
    storage.write_json(paths.ITERATION, {"iteration": iteration_number(outcome.folder.name)})
    terminal.show_outcome(outcome.folder, outcome.new)
    stage_flags.set_flag(stage_flags.SHOWN)
