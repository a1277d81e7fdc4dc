"""What a command leaves behind: reports, plots, files, and progress while it works."""
