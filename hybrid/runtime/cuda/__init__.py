"""A FuncGraph becomes a Plan for a GPU.

lowering
    the steps of a schedule become calls: kernels, matrix products, library functions
copies
    the kernels that copy views, and which views meet
calls
    what each asks of a card, given the memories of a run
written
    library nodes that have a kernel written by hand
replay
    a run: a list of launches, or a captured graph replayed
plan
    all of it, for one graph and the layouts of its arguments
"""
