//! The registry's tables and the functions over them: the only crate that holds SQL.
