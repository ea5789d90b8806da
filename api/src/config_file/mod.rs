//! config_file.
