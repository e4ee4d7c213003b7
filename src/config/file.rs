//! Owns the reading of our own TOML file. A key that we do not know is an error, so that a typing
//! error cannot silently leave a default in place.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::{
    Config, ConfigError, Origin, Problem, keys,
    layers::{Assignment, Layers, Source},
};

/// Reads the file and assigns what it names; `config` says which keys exist.
pub(super) fn read(
    path: &Path,
    config: &mut Config,
    layers: &mut Layers,
) -> Result<(), ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let mut reader = Reader {
        path,
        text: &text,
        config,
        layers,
        problems: Vec::new(),
    };
    let table = DeTable::parse(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        ConfigError::one(
            reader.origin(at),
            format!("this is not TOML: {}", error.message()),
        )
    })?;
    reader.table("", table.into_inner());
    ConfigError::from_problems(reader.problems)
}

/// What is needed while walking through the tables.
struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    config: &'a mut Config,
    layers: &'a mut Layers,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// Takes a table's keys one by one; `prefix` is empty or ends with a dot.
    fn table(&mut self, prefix: &str, table: DeTable<'_>) {
        for (name, value) in table {
            let (at, key) = (name.span().start, format!("{prefix}{}", name.get_ref()));
            if keys::field(self.config, &key).is_some() {
                self.assign(&key, at, value);
            } else if self.is_section(&key) && value.get_ref().is_table() {
                if let DeValue::Table(inner) = value.into_inner() {
                    self.table(&format!("{key}."), inner);
                }
            } else {
                self.refuse(&key, at, value.get_ref());
            }
        }
    }

    /// Says whether some key lies below this one.
    fn is_section(&self, key: &str) -> bool {
        let inside = format!("{key}.");
        key == "queues"
            || keys::all(self.config)
                .iter()
                .any(|known| known.starts_with(&inside))
    }

    /// Assigns a known key.
    fn assign(&mut self, key: &str, at: usize, value: Spanned<DeValue<'_>>) {
        let value = Value::deserialize(ValueDeserializer::from(value));
        let value = value.map_err(|error| format!("cannot be used: {}", error.message()));
        let origin = self.origin(at);
        self.layers.set(
            key,
            Assignment {
                name: key.to_owned(),
                value,
                origin,
                source: Source::File,
            },
        );
    }

    /// Reports an unknown key, or all keys of an unknown section, each with what was probably
    /// meant.
    fn refuse(&mut self, key: &str, at: usize, value: &DeValue<'_>) {
        if let Some(table) = value.as_table().filter(|table| !table.is_empty()) {
            for (name, value) in table {
                self.refuse(
                    &format!("{key}.{}", name.get_ref()),
                    name.span().start,
                    value.get_ref(),
                );
            }
            return;
        }
        let what = if self.is_section(key) {
            format!("`{key}` is a section, not a setting; its settings go below `[{key}]`")
        } else {
            let nearest = keys::nearest(self.config, key);
            format!("there is no setting `{key}`; did you mean `{nearest}`?")
        };
        self.problems.push(Problem {
            origin: self.origin(at),
            what,
        });
    }

    /// Turns a byte position into file and line.
    fn origin(&self, at: usize) -> Origin {
        let before = self.text.as_bytes().iter().take(at);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        Origin::File {
            path: self.path.to_owned(),
            line,
        }
    }
}
