//! Values bound to a statement, without the types of any one driver.
use tokio_postgres::types::{ToSql, Type};

/// A value bound to a statement.
///
/// Ids travel as 64-bit integers whatever the width of their column: the indexes of both
/// databases serve them all the same.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Param<'a> {
    /// A 64-bit integer.
    Int(i64),
    /// A 64-bit integer or null.
    OptInt(Option<i64>),
    /// True or false.
    Bool(bool),
    /// A text.
    Text(&'a str),
    /// A list of 64-bit integers.
    Ints(&'a [i64]),
    /// A list of texts.
    Texts(&'a [&'a str]),
    /// A list of texts or nulls.
    OptTexts(&'a [Option<&'a str>]),
    /// A list of byte strings or nulls.
    OptBytes(&'a [Option<&'a [u8]>]),
}

impl Param<'_> {
    pub(super) fn postgres(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Int(v) => (v, Type::INT8),
            Self::OptInt(v) => (v, Type::INT8),
            Self::Bool(v) => (v, Type::BOOL),
            Self::Text(v) => (v, Type::TEXT),
            Self::Ints(v) => (v, Type::INT8_ARRAY),
            Self::Texts(v) => (v, Type::TEXT_ARRAY),
            Self::OptTexts(v) => (v, Type::TEXT_ARRAY),
            Self::OptBytes(v) => (v, Type::BYTEA_ARRAY),
        }
    }
}
