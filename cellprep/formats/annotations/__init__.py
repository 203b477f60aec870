"""What a reader gives and a writer takes, whatever the format."""
