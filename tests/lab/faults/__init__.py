"""Kills a real ejabberd node at every change that an operation makes on disc, and judges what its next start makes of it. Kills the member
that the operation deals with, or takes it away for some seconds, and judges both nodes.

    python tests/lab/faults                                a number of points of each operation, and the table
    python tests/lab/faults --every                        all points of all of them
    python tests/lab/faults --only join_as_master          one operation
    python tests/lab/faults --only join_as_master:37       one kill point, with all that is wrong with its end
    python tests/lab/faults --only leave --member          what happens to the member in one operation
    python tests/lab/faults --only leave --list            the steps and changes of one operation, with their numbers
    python tests/lab/faults/chance.py --seed 1             kills at random while a node joins

A kill point is written OPERATION:NUMBER, the number of the change that is not made any more. With a `p` behind it the machine loses its
power there: what was not synced is gone. With `/NUMBER` behind it the recovery is killed as well, at its own change of that number.

`leave:219m` kills the member just before change 219, `leave:219~m` half-way in it. `leave:s12f6` freezes the member for 6 s at the beginning of
step 12, `leave:s12c6` cuts its link for that time. An `e` behind these says that the member has easy_cluster, too.

`operations.py` is the list; a new operation is one declaration there. `scenes.py` makes the clusters that they begin with, `killing.py`
kills, `power.py` takes what was not synced, `member.py` does something to the member, `judge.py` compares the end with the uninterrupted one and with the former state,
`harness.py` goes through the points, `record.py` remembers what was tried, `table.py` prints. `chance.py` is a
program of its own.
"""
