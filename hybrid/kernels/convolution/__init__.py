"""Convolutions of images in the processor's vector registers.

The image is copied once, padded, into *planes*: with a stride of s, one plane for each residue of
rows and columns modulo s that some weight meets. Seen from a place of the window, each weight then
meets its plane at a fixed distance, whatever the stride, padding and dilation, and neighbouring
results meet neighbouring elements. So a convolution is a product of matrices whose second operand
is found through a table of distances, one per weight, and is never written out.

The gradient by the input is the same: the planes are of the gradient, and the results are done in
as many parts as there are residues modulo the stride. The gradient by the weights is a product of
the gradient's rows with the same planes.

Blocks depend on sizes only and each result is added up in one order, so results do not depend on
the number of threads.
"""

from __future__ import annotations

from hybrid.kernels.convolution.images import backward, forward
from hybrid.kernels.convolution.weights import by_weight

__all__ = ["backward", "by_weight", "forward"]
