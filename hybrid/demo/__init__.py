"""The tour of the library on real data: what ``hybrid demo`` runs.

``digits`` and ``photograph`` are written as a user would write them and are the place to start
reading; the other modules run them in both modes and show what came out.
"""
