"""Figures of Python's own pools, for tests/bench/calls: two processes, functions that do nothing.

    calls.py pool-map N              multiprocessing.Pool(2).map, chunksize 1: calls per second
    calls.py executor-submit N       ProcessPoolExecutor(2), submitted one by one: calls per second
    calls.py executor-latency N      submit and wait, one after the other: the median in microseconds
"""
import concurrent.futures
import multiprocessing
import statistics
import sys
import time


def nothing(x):
    return x


def pool_map(n):
    with multiprocessing.Pool(2) as pool:
        pool.map(nothing, range(1000), chunksize=1)
        began = time.perf_counter()
        results = pool.map(nothing, range(n), chunksize=1)
        took = time.perf_counter() - began
    assert results == list(range(n))
    return n / took


def executor_submit(n):
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        for future in [pool.submit(nothing, i) for i in range(1000)]:
            future.result()
        began = time.perf_counter()
        futures = [pool.submit(nothing, i) for i in range(n)]
        results = [future.result() for future in futures]
        took = time.perf_counter() - began
    assert results == list(range(n))
    return n / took


def executor_latency(n):
    took = []
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        for i in range(200):
            pool.submit(nothing, i).result()
        for i in range(n):
            began = time.perf_counter()
            assert pool.submit(nothing, i).result() == i
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e6


if __name__ == "__main__":
    what = {
        "pool-map": pool_map,
        "executor-submit": executor_submit,
        "executor-latency": executor_latency,
    }
    print("%.2f" % what[sys.argv[1]](int(sys.argv[2])))
