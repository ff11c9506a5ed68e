"""The short ways of eager operators in native code: what is plain is done here, the rest in Python.

An operator on small arrays is dominated by what is around the numbers: ``x + y`` takes NumPy 0.3
microseconds, of which the additions of 16 numbers are a hundredth. Where nothing records it and the
operands are Tensors on the CPU, native code looks at their types, calls the inner loop of the same
ufunc (or the ufunc itself, for what is not plain to it) and makes a Tensor around the result.
Whatever else there may be (tapes and traces, other operands, an error) is left to the Python
function that the short way stands in front of.
"""

from hybrid.kernels.shortway.way import Way as Way
