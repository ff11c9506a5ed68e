"""Regions, the code generator of the CPU, vector math, and the cache of compiled kernels."""
