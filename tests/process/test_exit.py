"""Check that no text is an error on a terminal that cannot show it."""

import os
import subprocess
import sys

from tests.helpers.root import ROOT


def test_what_the_terminals_encoding_lacks_is_a_question_mark():
    code = "from wor.process.exit import print_in_any_encoding; print_in_any_encoding(); print('window ⟦ü⟧')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"window ???\n"), done.stderr


def test_a_closed_output_is_no_error():
    code = "from wor.process.exit import print_in_any_encoding; print_in_any_encoding()"
    assert subprocess.run(["bash", "-c", f'{sys.executable} -c "{code}" >&-'], cwd=ROOT).returncode == 0
