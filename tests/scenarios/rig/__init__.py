"""Scenario rig: frames in, frames out, exact counters, against both real processes. See ../README.md."""
