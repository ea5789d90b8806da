//! Files against a database.
