"""The study's figures. Each module named here has ``table``, ``draw`` and ``describe``."""

# Name of its files -> name of its module, as Fig1, Fig2, ... Listing them imports no matplotlib.
FIGURES = {  # one per line: `wor new figure` adds a line
    "scaling": "scaling",
    "temp_robustness": "temperature",
    "ablation_curve": "ablation",
    "measures": "measures",
}
