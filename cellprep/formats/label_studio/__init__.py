"""Label Studio: a JSON file of several tasks."""
