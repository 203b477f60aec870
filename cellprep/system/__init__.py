"""The machine: processes, memory, disks, object stores, output."""
