"""Records and contents: what readers return and writers take, in any format."""
