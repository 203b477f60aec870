"""Records and contents: the results of readers and the input of writers, independent of the format."""
