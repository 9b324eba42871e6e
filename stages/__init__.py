"""Each pipeline stage is a module. `python -m stages NAME` runs one; dvc.yaml has the commands."""
