"""Structured control flow: branches, loops and effects, eager and as nodes of a graph.

Eager code runs plain Python over the bodies that the user gives. In a trace each body becomes a
FuncGraph of its own and the construct one node, whatever the data.
"""
