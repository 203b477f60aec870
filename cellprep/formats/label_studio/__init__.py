"""Label Studio: a file of JSON of several tasks."""
