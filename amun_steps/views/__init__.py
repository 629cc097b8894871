"""What people read: runs, tables, figures, claims, the report, the terminal."""
