"""What joins learning and commands."""
