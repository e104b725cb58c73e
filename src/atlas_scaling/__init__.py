"""Scaling laws for multilingual language models: fit, transfer, plan, run studies."""

from __future__ import annotations

from atlas_scaling._version import __version__

__all__ = ["__version__"]
