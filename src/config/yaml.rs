//! Owns the reading of YAML into [`Node`]s, each word resolved as YAML 1.1 does.
//!
//! Values are judged where they are read, not here: Quay's file has hundreds of keys that do not
//! concern us, and a strange one among them is no reason to refuse.

use serde_json::Value;

mod composer;

pub(super) use composer::read;

/// A value of a YAML file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Something whose meaning is not certain; says what, without the value.
    Odd(String),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Counted from 1; 0 where there are no lines.
    pub(super) line: usize,
    pub(super) node: Node,
}

/// Where and why a file is not YAML that we can read.
#[derive(Debug)]
pub(super) struct YamlError {
    pub(super) line: usize,
    pub(super) what: String,
}

impl Node {
    /// Brings the value into JSON's form.
    ///
    /// # Errors
    /// Says what has no such form.
    pub(super) fn to_json(&self) -> Result<Value, String> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(nodes) => nodes.iter().map(Self::to_json).collect::<Result<_, _>>()?,
            Self::Map(entries) => {
                let pair = |entry: &Entry| {
                    let value = entry.node.to_json();
                    let value =
                        value.map_err(|what| format!("has a value `{}` that {what}", entry.key))?;
                    Ok::<_, String>((entry.key.clone(), value))
                };
                Value::Object(entries.iter().map(pair).collect::<Result<_, _>>()?)
            }
            Self::Odd(what) => return Err(what.clone()),
        })
    }

    /// Counts the node and what is in it.
    fn size(&self) -> usize {
        1 + match self {
            Self::List(nodes) => nodes.iter().map(Self::size).sum(),
            Self::Map(entries) => entries.iter().map(|entry| entry.node.size()).sum(),
            _ => 0,
        }
    }
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Self::Int(whole),
                (None, Some(float)) => Self::Float(float),
                (None, None) => Self::Odd("is a number that is too large".to_owned()),
            },
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(map) => {
                let entry = |(key, value): (&String, &Value)| Entry {
                    key: key.clone(),
                    line: 0,
                    node: value.into(),
                };
                Self::Map(map.iter().map(entry).collect())
            }
        }
    }
}
