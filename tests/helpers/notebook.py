"""notebooks/explore.ipynb run from its first cell to its last, in a kernel of its own."""

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
    """The notebook with its outputs, run in the study's notebooks/. CellExecutionError where a cell raises.

    ``iteration`` : its name; the newest when left out.
    """
    folder = study.folder / "notebooks"
    folder.mkdir(exist_ok=True)
    notebook = nbformat.read(shutil.copy(EXPLORE, folder), nbformat.NO_CONVERT)
    with tempfile.TemporaryDirectory() as own:  # not tmp_path: a socket's path has 107 bytes at most
        settings = {
            **dict.fromkeys(("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"), own),
            "JUPYTER_PLATFORM_DIRS": "1",
            "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's Python, whatever kernels the machine has
        }
        kernel = {"transport": "ipc", "connection_file": f"{own}/kernel.json"}  # no port
        with mock.patch.dict(os.environ, settings):
            os.environ.pop("JUPYTER_PATH", None)
            client = NotebookClient(notebook, timeout=300, kernel_name="python3", config=Config(AsyncKernelManager=kernel))
            client.execute(cwd=str(folder), env={**study.environment, **settings, "WOR_ITERATION": iteration})
    return notebook
