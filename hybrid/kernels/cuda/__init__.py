"""Kernels for NVIDIA GPUs: the same Regions, compiled by numba-cuda to machine code of a card.

spec, source
    a Region becomes a CudaSpec, that Python source: maps (elementwise), reductions (rows, columns)
transposing
    maps whose operands lie along different axes, through tiles in shared memory
toolchain
    source becomes a cubin; the only module that knows numba-cuda and NVIDIA's linker
kernel
    a cubin and how it is launched: grids, temporaries, pointers
device
    what the source calls besides the scalar functions, which are those of the CPU

Nothing here needs a card but the launch itself.
"""
