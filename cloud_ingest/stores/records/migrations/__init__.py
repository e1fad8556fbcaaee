"""Every change of the relational schema, in order. Alembic is imported here alone."""
