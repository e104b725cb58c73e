"""Decisions from laws: what more languages cost, what a budget buys, whether to start from scratch.

Every answer takes a fit, or the published constants and says so; intervals come from the fit's
draws and are null where there are none.
"""
