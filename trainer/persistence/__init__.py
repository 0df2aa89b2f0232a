"""Model files, readable ones, and export."""
