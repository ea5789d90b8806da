//! The commands against a database.
