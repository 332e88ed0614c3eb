#!/usr/bin/env python3
"""Whether lists of cells could be built from those of coarser cells: how many seeds that would take.

Usage: parent_lists.py    (NumPy; a minute)

For the finest resolution of each profile (search/index_store.cc), cells that Gaussian blocks meet are
filed under the nearest centre of a coarser lattice, their parent. A seed of a cell's list is within
its reach of the cell's centre, so within reach plus the angle of the two centres of the parent's.
Prints the share of all seeds that a child looks at, and that a parent must list to serve its furthest
child. A scan of all seeds costs 1; a row that is fetched out of order as much as 14 scores.
"""

import numpy
import numpy_search

CELLS = 64
# profile, block, rank, radius and reach of the index, radii of parents
ROWS = (("4bit", 8, 3, 3, 0.44, (1.5, 2)), ("4.5bit", 8, 4, 3, 0.40, (1.5, 2)),
        ("3bit", 12, 4, 2, 0.76, (1, 1.41)))


def nearest_even(points):
    """Nearest integer vectors with an even sum: D_n."""
    rounded = numpy.rint(points)
    off = points - rounded
    odd = numpy.flatnonzero(rounded.sum(axis=1) % 2)
    worst = numpy.abs(off).argmax(axis=1)[odd]
    rounded[odd, worst] += numpy.where(off[odd, worst] >= 0, 1, -1)
    return rounded


def nearest(points):
    """Nearest points of D_n+, which is E8 for n = 8."""
    whole, half = nearest_even(points), nearest_even(points - 0.5) + 0.5
    closer = ((points - half)**2).sum(axis=1) < ((points - whole)**2).sum(axis=1)
    return numpy.where(closer[:, None], half, whole)


def directions(points):
    return points / numpy.linalg.norm(points, axis=1)[:, None]


def angles(q, centres):
    """[cells, seeds], of each centre to each seed's span."""
    inside = (numpy.einsum("scp,nc->nsp", q, centres)**2).sum(axis=2)
    return numpy.arcsin(numpy.sqrt(numpy.clip(1 - inside, 0, 1)))


def main():
    generator = numpy.random.default_rng(1)
    for name, block, rank, radius, reach, parents in ROWS:
        q = numpy.linalg.qr(numpy_search.bases(block, rank).astype(float))[0]
        points = nearest(radius * directions(generator.normal(size=(4 * CELLS, block))))
        cells = directions(points[numpy.any(points != 0, axis=1)][:CELLS])
        own = (angles(q, cells) <= reach).mean()
        print(f"{name}: a list of radius {radius} has {own:.3f} of all seeds")
        for coarse in parents:
            above = nearest(coarse * cells)
            some = numpy.any(above != 0, axis=1)
            centres = directions(above[some])
            between = numpy.arccos(
                numpy.clip(numpy.abs((centres * cells[some]).sum(axis=1)), 0, 1))
            to_seeds = angles(q, centres)
            looked_at = (to_seeds <= reach + between[:, None]).mean()
            listed = (to_seeds <= reach + between.max()).mean()
            print(f"  parents of radius {coarse}: {listed:.2f} are listed, a child looks at "
                  f"{looked_at:.2f}, {looked_at * (1 + 14 / 4):.2f} scans where four children "
                  "share the fetching")


if __name__ == "__main__":
    main()
