"""What kills, full disks, hostile inputs and readers at the wrong moment do to the promises of the design.

    make torture                                                    everything, in minutes
    PYTHONPATH=scripts:tests python -m torture readers --times 100
    PYTHONPATH=scripts:tests python -m torture kills --cases data --seed 7

Each part is a module with a function `run` and a row in `__main__.py`. A case that does not survive is told with the
command that repeats it.
"""
