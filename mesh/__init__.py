"""Roomful: many small machines, one artwork."""

__version__ = "0.1.0"
