import gc
import sys

from wor import interrupt, notices

if sys.argv[0] == "-m":  # a stage is being started, and torch is not yet imported
    gc.disable()  # while it is: it makes much and drops little, and looking for garbage takes a fifth of the time
    module = sys.orig_argv[sys.orig_argv.index("-m") + 1]
    interrupt.stage(" ".join([module.removeprefix("stages."), *sys.argv[2::2]]))
    interrupt.watch()
    if notices.over():
        sys.exit(interrupt.CODE)
