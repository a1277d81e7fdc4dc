"""The FastAPI application and the phone dashboard. Reads snapshots, posts commands."""
