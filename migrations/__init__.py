"""Database migrations: small, dated, reversible."""
