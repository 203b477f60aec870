"""Text and tables for messages and reports."""
