"""Regions of interest (ROIs) of ImageJ and Fiji: ``.roi`` files, and ZIP archives of them, by roifile."""
