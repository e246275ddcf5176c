#!/usr/bin/python3
"""Every protocol and family that goes inward, where no rule decides: deny."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import matrix  # noqa: E402

matrix.make(__file__, "default-deny", "inward")
