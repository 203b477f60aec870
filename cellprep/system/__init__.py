"""Operating system: processes, memory, disks, object stores, output."""
