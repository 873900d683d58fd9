"""Facts as data: tables in TOML with a source in each row, and the modules that read them."""
