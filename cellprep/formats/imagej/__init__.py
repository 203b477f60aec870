"""ImageJ's and Fiji's regions of interest: ``.roi`` files, and ZIP archives of them, by roifile."""
