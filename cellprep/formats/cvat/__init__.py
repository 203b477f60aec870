"""CVAT: an XML file of several images."""
