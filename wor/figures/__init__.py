"""The study's figures, in order: Fig1, Fig2, ... Each has a module here with ``table``, ``draw`` and ``describe``."""

# What its files are called, and its module: a name, so that listing the figures loads no matplotlib.
FIGURES = {"scaling": "scaling", "temp_robustness": "temperature", "ablation_curve": "ablation"}
