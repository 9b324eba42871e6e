"""report.html: an iteration, or two side by side, as one file that needs nothing else."""
