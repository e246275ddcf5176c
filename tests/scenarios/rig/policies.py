"""Policies that several scenarios share."""

# The test policy of most cases: inside may start anything, outside nothing.
EDGE = """
sluice: 1
name: {name}
default: {{action: deny}}
zones:
  out: {{ports: [outside]}}
  in: {{ports: [inside]}}
rules:
  - {{id: egress, from: in, to: out, action: allow}}
"""
