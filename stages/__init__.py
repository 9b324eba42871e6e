"""The stages of the pipeline, a module each. `python -m stages NAME` runs one; dvc.yaml has the commands."""
