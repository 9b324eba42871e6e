"""What a person sees of results: tables in the terminal, notes.md, and report.html in one file."""
