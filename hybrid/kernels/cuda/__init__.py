"""Kernels for NVIDIA GPUs: the same Regions, compiled by numba-cuda to machine code of a card.

spec
    a Region becomes a CudaSpec and the numbers of a launch
source, generate; maps, tiles, reductions, scans
    a CudaSpec becomes Python source: elementwise, transposing, along rows or columns, cumulative
handwritten, random; scattering, drawing
    what no Region describes: adding rows to places, random numbers; launched for eager code
products
    how a product of matrices is put to cuBLAS
toolchain
    source becomes a cubin; the only module that knows numba-cuda and NVIDIA's linker
kernel
    a cubin and how it is launched: grids, temporaries, pointers
card
    what a Plan asks of a GPU
device
    what the source calls besides the scalar functions, which are those of the CPU

Nothing here needs a card but the launch itself.
"""
