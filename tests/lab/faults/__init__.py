"""Kills a real ejabberd node at every change that an operation makes on disc, and judges what its next start makes of it.

    python tests/lab/faults                                a number of points of each operation, and the table
    python tests/lab/faults --every                        all points of all of them
    python tests/lab/faults --only join_as_master          one operation
    python tests/lab/faults --only join_as_master:37       one kill point, with all that is wrong with its end

A kill point is written OPERATION:NUMBER, the number of the change that is not made any more. With a `p` behind it the machine loses its
power there: what was not synced is gone. With `/NUMBER` behind it the recovery is killed as well, at its own change of that number.

`operations.py` is the list; a new operation is one declaration there. `scenes.py` makes the clusters that they begin with, `killing.py`
kills, `power.py` takes what was not synced, `judge.py` compares the end with the uninterrupted one and with the former state,
`harness.py` goes through the points, `record.py` remembers what was tried, `table.py` prints.
"""
