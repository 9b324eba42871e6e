"""Vega-Lite charts of an iteration, or of two over each other."""

from wor.report.charts.classes import distributions, dose, roc
from wor.report.charts.common import Chart
from wor.report.charts.estimates import estimates
from wor.report.charts.inside import heads, layers
from wor.report.charts.settings import specifications

__all__ = ["Chart", "distributions", "dose", "estimates", "heads", "layers", "roc", "specifications"]
