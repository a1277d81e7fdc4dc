"""Uploaded logs, and analyses of them in processes of their own."""
