"""A campaign of hostile inputs: mutated parameters, rows, model folders and environments.

Each case is drawn from a seed and a number, so that one that fails can be had again by its number.
A case is right when it is refused in one line with exit code 2, or when what it gives equals what
someone else reads in the same input.
"""
