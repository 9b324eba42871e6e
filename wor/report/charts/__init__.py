"""Vega-Lite charts of one iteration, or of two in one chart."""

from wor.report.charts.classes import distributions, dose, roc
from wor.report.charts.common import Chart
from wor.report.charts.estimates import estimates, specifications
from wor.report.charts.inside import heads, layers

__all__ = ["Chart", "distributions", "dose", "estimates", "heads", "layers", "roc", "specifications"]
