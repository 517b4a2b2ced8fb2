"""The environment in which numbers are made: one thread. Set before numpy, torch or numba load, which read it once."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
ENVIRONMENT = {**dict.fromkeys(THREADS, "1"), "PYTHONHASHSEED": "0"}
"""Fixed, because the number of threads decides the order of sums; two pages run beside each other on two cores, where
teams of two threads each would wait for one another."""
