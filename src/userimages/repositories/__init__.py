"""Where the records are: ``memory.MemoryRepository`` and ``sqlalchemy.SQLAlchemyRepository``."""
