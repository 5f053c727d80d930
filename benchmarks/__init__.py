"""What bluesky-export costs, beside what people use today and beside the floor.

    python -m benchmarks [--quick] [--list] [--rounds 5] [NAME …]

Three kinds of contenders, named in each table: a *peer* is what users do today; *ours*; the *floor* is the
least that anybody could do: read the store's own bytes into columns, and give them to the fastest library
that writes such a file.

Each measurement is a fresh process, a fork of one that has imported everybody's libraries. It does the same
work once on a small run, so that nothing is left to be imported, and is then measured: wall-clock time, CPU
time (its own, its children's and the Tiled server's), and peak memory above what it had. Contenders take
turns, round by round, and a ratio is the median of the ratios within the rounds: what else the machine does
meanwhile strikes all of them alike. What was written is compared with what was measured, in each round: a
contender whose file is wrong fails the benchmark.
"""
