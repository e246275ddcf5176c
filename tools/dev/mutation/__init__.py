"""Mutation testing on C++ text. See ../mutate.

tokens -> operators, statements: what may be broken;  places: where;  explained: what is known to be equivalent;
copy, affected, trial: one mutant against the tests that its file reaches;  main: the command.
"""
