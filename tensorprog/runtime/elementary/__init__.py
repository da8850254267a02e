"""Elementary functions of doubles for compiled code: no branches and no calls, so that loops over them vectorize.

Each is within 2 ulp over its range, infinities and subnormal results included; NaN stays NaN. What is special about one
stands in its module.
"""
