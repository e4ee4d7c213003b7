//! One statement in every dialect.

/// A named statement, written in full for each database that runs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sql {
    /// Name in logs, errors and metrics: `module.what_it_does`.
    pub(crate) name: &'static str,
    /// The text for `PostgreSQL`; parameters are `$1`, `$2` ...
    pub(crate) postgres: &'static str,
    /// The text for `MySQL` and `MariaDB`; `None` until its turn comes.
    #[expect(dead_code, reason = "the MySQL texts follow in one sweep")]
    pub(crate) mysql: Option<&'static str>,
}

impl Sql {
    /// Names a statement that has its `PostgreSQL` text only.
    pub(crate) const fn postgres(name: &'static str, postgres: &'static str) -> Self {
        Self {
            name,
            postgres,
            mysql: None,
        }
    }
}
