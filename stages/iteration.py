"""iteration: an immutable folder with everything of this run, and its row in the registry."""

from wor import notices, paths, stage, storage, terminal
from wor.iterations.materialise import materialise
from wor.iterations.registry import number_of


def work(params, log):
    log.say(f"recording into {paths.experiments()}")
    outcome = materialise(params, log.record())
    storage.write_json(paths.ITERATION, {"iteration": number_of(outcome.folder)})
    terminal.show_outcome(outcome)
    notices.give(notices.SHOWN)


if __name__ == "__main__":
    stage.run("iteration", work, logged=False)
