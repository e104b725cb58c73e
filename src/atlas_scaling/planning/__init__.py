"""Decisions from laws: what serving more languages costs, whether to start anew, what it costs.

Every answer takes a fit, or the published constants and says so; intervals come from the fit's
draws and are null where there are none.
"""
