//! Golden states: databases before and after Quay's own background code ran over them.
//!
//! - `mod.rs`: the files of one experiment
//! - `table.rs`: reading tab-separated files, packed or not
//! - `database.rs`: loading a state, and reading off a database what the files say
//!
//! The files lie in `../shared/golden`, one folder an experiment; nothing of them is in this
//! repository.

mod database;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

pub use database::{quay_database, quota_rows, snapshot};

use crate::{TestkitError, error::io_error, shared_dir};

/// A row of any table: its name and its id.
pub type RowKey = (String, i64);

/// A state of a quota table's row.
///
/// The two flags are, for `quotanamespacesize` and `quotarepositorysize`, whether a total was
/// started and whether it is complete; for `quotaregistrysize` whether one is running and queued.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaRow {
    /// The table's name.
    pub table: String,
    /// The namespace's or the repository's id; of the registry's row its own.
    pub id: i64,
    /// The total, in bytes.
    pub size_bytes: i64,
    /// Whether the total was started; of the registry's row whether it is running.
    pub started: bool,
    /// Whether the total is complete; of the registry's row whether it is queued.
    pub complete: bool,
}

/// A situation that was built on purpose, and what became of its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldenCase {
    /// The situation in words.
    pub name: String,
    /// The row to look at.
    pub row: RowKey,
    /// Whether the row was still there afterwards.
    pub is_kept: bool,
}

/// One experiment: a state before, and what Quay left of it.
#[derive(Debug, Clone)]
pub struct Golden {
    name: String,
    folder: PathBuf,
}

impl Golden {
    /// Opens an experiment by its folder's name, as `seed1`.
    ///
    /// # Errors
    /// When `../shared` or the folder is missing; tests look with
    /// [`shared_or_skip!`](crate::shared_or_skip) first.
    pub fn open(name: &str) -> Result<Self, TestkitError> {
        let folder = shared_folder("golden")?.join(name);
        if !folder.join("before.sql.gz").is_file() {
            return Err(TestkitError::BadInput {
                what: format!("golden folder `{}`", folder.display()),
                reason: "it has no `before.sql.gz`".to_owned(),
            });
        }
        let name = name.to_owned();
        Ok(Self { name, folder })
    }

    /// The experiment's folder name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the time that the experiment's clock was frozen at, in epoch milliseconds; `None` when
    /// it ran by the real clock (and gives the same result until 2089).
    ///
    /// # Errors
    /// When `meta.json` is missing or malformed.
    pub fn frozen_now_ms(&self) -> Result<Option<i64>, TestkitError> {
        Ok(self.meta()?["frozen_now"].as_i64())
    }

    /// Reads which of Quay's features were on, by their names without `FEATURE_`.
    ///
    /// # Errors
    /// When `meta.json` is missing or malformed.
    pub fn flags(&self) -> Result<BTreeMap<String, bool>, TestkitError> {
        let meta = self.meta()?;
        let flags = meta["flags"].as_object().into_iter().flatten();
        Ok(flags
            .map(|(name, value)| (name.clone(), value.as_bool() == Some(true)))
            .collect())
    }

    /// Reads every row that was left, of all tables.
    ///
    /// # Errors
    /// When the file is missing or malformed.
    pub fn rows_after(&self) -> Result<BTreeSet<RowKey>, TestkitError> {
        table::read(&self.folder.join("after.tsv.gz"))?
            .iter()
            .map(|line| Ok((line.text(0)?, line.number(1)?)))
            .collect()
    }

    /// Reads the state of the quota tables afterwards.
    ///
    /// # Errors
    /// When the file is missing or malformed.
    pub fn quota_after(&self) -> Result<BTreeSet<QuotaRow>, TestkitError> {
        table::read(&self.folder.join("after_quota.tsv"))?
            .iter()
            .map(|line| {
                Ok(QuotaRow {
                    table: line.text(0)?,
                    id: line.number(1)?,
                    size_bytes: line.number(2)?,
                    started: line.flag(3)?,
                    complete: line.flag(4)?,
                })
            })
            .collect()
    }

    /// Reads the objects that Quay asked its storage to remove: location name and path.
    ///
    /// # Errors
    /// When the file is missing or malformed.
    pub fn storage_deleted(&self) -> Result<BTreeSet<(String, String)>, TestkitError> {
        let lines = self.storage_lines()?;
        let objects = lines.iter().filter(|line| !is_cancelled(line));
        objects
            .map(|line| Ok((line.text(0)?, line.text(1)?)))
            .collect()
    }

    /// Reads the uploads that Quay cancelled in its storage: location name and upload uuid.
    ///
    /// # Errors
    /// When the file is missing or malformed.
    pub fn uploads_cancelled(&self) -> Result<BTreeSet<(String, String)>, TestkitError> {
        let lines = self.storage_lines()?;
        let uploads = lines.iter().filter(|line| is_cancelled(line));
        uploads
            .map(|line| Ok((line.text(1)?, line.text(2)?)))
            .collect()
    }

    /// Reads the situations that were built on purpose, empty when the experiment has none.
    ///
    /// # Errors
    /// When the file is malformed.
    pub fn cases(&self) -> Result<Vec<GoldenCase>, TestkitError> {
        let file = self.folder.join("cases_result.tsv");
        if !file.exists() {
            return Ok(Vec::new());
        }
        let lines = table::read(&file)?;
        let cases = lines.iter().skip(1); // the head
        cases
            .map(|line| {
                Ok(GoldenCase {
                    name: line.text(0)?,
                    row: (line.text(1)?, line.number(2)?),
                    is_kept: line.text(3)? == "kept",
                })
            })
            .collect()
    }

    /// Reads what is told about the experiment.
    fn meta(&self) -> Result<serde_json::Value, TestkitError> {
        let file = self.folder.join("meta.json");
        let text = std::fs::read_to_string(&file).map_err(io_error("read", &file))?;
        serde_json::from_str(&text).map_err(|error| TestkitError::BadInput {
            what: file.display().to_string(),
            reason: error.to_string(),
        })
    }

    /// Reads all lines about storage, removed objects and cancelled uploads alike.
    fn storage_lines(&self) -> Result<Vec<table::Line>, TestkitError> {
        table::read(&self.folder.join("storage_deleted.txt"))
    }
}

/// Tells whether a line about storage is about a cancelled upload, not a removed object.
fn is_cancelled(line: &table::Line) -> bool {
    line.text(0).is_ok_and(|field| field == "cancel")
}

/// Finds a folder of the shared material.
///
/// # Errors
/// When the material is missing.
fn shared_folder(name: &str) -> Result<PathBuf, TestkitError> {
    let folder = shared_dir().map(|shared| shared.join(name));
    folder
        .filter(|folder: &PathBuf| Path::is_dir(folder))
        .ok_or_else(|| TestkitError::BadInput {
            what: format!("`../shared/{name}`"),
            reason: "it is missing; QUAYHAND_SHARED can name another place of `shared`".to_owned(),
        })
}
