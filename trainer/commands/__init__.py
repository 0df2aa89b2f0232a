"""The programs of the command line: what they read, print and write, and no mathematics."""
