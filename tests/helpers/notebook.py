"""Run notebooks/explore.ipynb from its first cell to its last, in a new kernel."""

from __future__ import annotations

import os
import shutil
import tempfile
from unittest import mock

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

from tests.helpers.root import ROOT
from tests.helpers.study import Study

EXPLORE = ROOT / "notebooks" / "explore.ipynb"


def execute(study: Study, iteration: str = "") -> nbformat.NotebookNode:
    """Run the notebook in the study's notebooks/ and return it with its outputs.

    ``iteration`` is a name, or "" for the newest. Raises CellExecutionError if a cell fails.
    """
    folder = study.folder / "notebooks"
    folder.mkdir(exist_ok=True)
    notebook = nbformat.read(shutil.copy(EXPLORE, folder), nbformat.NO_CONVERT)
    with tempfile.TemporaryDirectory() as kernel_folder:  # a socket's path has at most 107 bytes
        settings = {
            **dict.fromkeys(("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"), kernel_folder),
            "JUPYTER_PLATFORM_DIRS": "1",
            "JUPYTER_PREFER_ENV_PATH": "1",  # not a kernel of the machine
        }
        kernel = {"transport": "ipc", "connection_file": f"{kernel_folder}/kernel.json"}
        with mock.patch.dict(os.environ, settings):
            os.environ.pop("JUPYTER_PATH", None)
            client = NotebookClient(notebook, timeout=300, kernel_name="python3", config=Config(AsyncKernelManager=kernel))
            client.execute(cwd=str(folder), env={**study.environment, **settings, "WOR_ITERATION": iteration})
    return notebook
