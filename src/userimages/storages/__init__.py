"""Where the bytes are: ``memory.MemoryStorage``, ``disk.DiskStorage`` and ``r2.R2Storage``."""
