//! Owns the settings that are one word out of a few.

use serde_json::Value;

use super::setting::{Setting, found};

/// Quay `REGISTRY_STATE`: what the registry as a whole may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegistryState {
    /// Everything works.
    #[default]
    Normal,
    /// Nothing may be written, so no job runs that writes.
    Readonly,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// The journal under systemd, human on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One readable line an event.
    Human,
    /// One JSON object an event.
    Json,
}

/// The least important level that is still logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// What wakes someone.
    Error,
    /// What shows a trend.
    Warn,
    /// What tells the day.
    #[default]
    Info,
    /// What a developer wants to see.
    Debug,
    /// Everything.
    Trace,
}

/// Gives an enum its words: how it is read, written and shown.
macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal,)+ }) => {
        impl $name {
            /// Returns the word that stands for it in a configuration.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl Setting for $name {
            fn read(&mut self, value: &Value) -> Result<(), String> {
                *self = match value.as_str() {
                    $(Some($word) => Self::$variant,)+
                    _ => {
                        let words = [$(concat!("`", $word, "`")),+].join(" or ");
                        return Err(format!("is {}; expected {words}", found(value)));
                    }
                };
                Ok(())
            }

            fn write(&self) -> Value {
                self.as_str().into()
            }
        }
    };
}

words!(RegistryState { Normal = "normal", Readonly = "readonly", });
words!(LogFormat { Auto = "auto", Human = "human", Json = "json", });
words!(LogLevel {
    Error = "error",
    Warn = "warn",
    Info = "info",
    Debug = "debug",
    Trace = "trace",
});
