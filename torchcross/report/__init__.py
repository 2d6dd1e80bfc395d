"""Reports: records -> tables, plots and one self-contained page. Models are never seen here."""

from __future__ import annotations

from torchcross.report.by_class import ImageResults, class_values_csv, confusions_csv
from torchcross.report.html import TableCell, TableColumn
from torchcross.report.inputs import Curve, Example, Failure, PageTable, Picture
from torchcross.report.notebook_table import html_table
from torchcross.report.page import write_report
from torchcross.report.tables import csv_table, latex_table, markdown_table

__all__ = [
    "Curve",
    "Example",
    "Failure",
    "ImageResults",
    "PageTable",
    "Picture",
    "TableCell",
    "TableColumn",
    "class_values_csv",
    "confusions_csv",
    "csv_table",
    "html_table",
    "latex_table",
    "markdown_table",
    "write_report",
]
