"""Rows from elsewhere: files larger than memory, streams of Arrow record batches, Dask."""
