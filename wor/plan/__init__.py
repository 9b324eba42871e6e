"""Estimate a run before it is started: items, tokens, time, memory, disk and downloads."""
