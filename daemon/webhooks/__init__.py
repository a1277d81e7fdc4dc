"""What an analysis gave, pushed to who asked for it."""
