"""Readers and writers of files, one subpackage per format."""
