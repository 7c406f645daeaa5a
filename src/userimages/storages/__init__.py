"""Storages keep objects: ``memory.MemoryStorage``, ``disk.DiskStorage`` and ``r2.R2Storage``."""
