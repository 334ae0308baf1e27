"""Memory: the replicated SQLite database. The only importer of apsw."""
