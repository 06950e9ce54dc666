"""Tandem's roof: answers, decides, records."""

__version__ = "0.1.0"
