"""notebooks/explore.ipynb on a study of a tiny model: its own assertions are the check."""

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from tests.helpers.notebook import ROOT, execute
from wor import storage


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_a_committed_notebook_is_valid_and_holds_no_outputs(path):
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []


def outputs(notebook, *kinds):
    every = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output for output in every if output.output_type in kinds]


@pytest.mark.dvc
def test_the_notebook_runs_to_its_end_without_a_warning_and_draws_six_figures(study):
    done = execute(study)
    assert [stream.text for stream in outputs(done, "stream") if stream.name == "stderr"] == []
    shown = outputs(done, "display_data", "execute_result")
    assert sum("image/png" in output.data for output in shown) == 6


@pytest.mark.dvc
@pytest.mark.parametrize(
    ("file", "way", "named"),
    [
        ("aggregate_statistics", "models.tiny.auroc.rev.bootstrap.high", "('AUROC of REV', 'high', "),
        ("model_results", "tiny.calibration.scales.ape.mean", "rev"),
    ],
    ids=["an interval's end", "a scale"],
)
def test_the_notebook_stops_at_a_recorded_number_that_is_not_what_it_finds(study, file, way, named):
    path = study.folder / "experiments" / "iteration_001" / "results" / f"{file}.json"
    recorded = storage.read_json(path)
    *steps, last = way.split(".")
    place = recorded
    for step in steps:
        place = place[step]
    place[last] += 1e-6
    storage.write_json(path, recorded)
    with pytest.raises(CellExecutionError) as stopped:
        execute(study, "iteration_001")
    assert stopped.value.ename == "AssertionError"
    assert stopped.value.evalue.startswith(named)
