//! `quayhand config`: checks and shows the configuration.
use clap::Subcommand;

use super::{
    Failure,
    output::{self, Format},
};
use crate::config::Config;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Reads every source and says whether the configuration can be used
    Check,
    /// Shows every setting, its value without secrets, and where it came from
    Show,
}

/// Runs one of the sub-commands on a configuration that was read and checked already.
pub(crate) fn run(config: &Config, command: &Command, format: Format) -> Result<(), Failure> {
    match (command, format) {
        (Command::Check, Format::Human) => output::line("the configuration can be used"),
        (Command::Check, Format::Json) => output::json(&serde_json::json!({ "usable": true })),
        (Command::Show, Format::Human) => {
            let rows: Vec<_> = config
                .rows()
                .into_iter()
                .map(|row| vec![row.key, row.value, row.origin.to_string()])
                .collect();
            output::table(&["SETTING", "VALUE", "FROM"], &rows)
        }
        (Command::Show, Format::Json) => config.rows().into_iter().try_for_each(|row| {
            output::json(&serde_json::json!({
                "setting": row.key,
                "value": row.value,
                "from": row.origin.to_string(),
            }))
        }),
    }
}
