//! Finding the servers' programs, and the user that may run them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::TestkitError;

/// Where Debian keeps PostgreSQL's server programs, one folder a major version.
const POSTGRES_FOLDERS: &str = "/usr/lib/postgresql";

/// Users that may own a server when the tests run as root, the best first.
const UNPRIVILEGED_USERS: [&str; 2] = ["postgres", "nobody"];

/// Finds `program` in `/usr/lib/postgresql/*/bin` (the newest version first), then in `PATH`, then
/// in `/usr/sbin`.
///
/// In this order, as Debian's `/usr/bin/psql` is a wrapper that looks for the machine's own servers.
/// Not everybody's `PATH` has the system's own programs.
///
/// # Errors
/// [`TestkitError::MissingProgram`], naming `package`, when it is in none of them.
pub(crate) fn find(program: &'static str, package: &'static str) -> Result<PathBuf, TestkitError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    postgres_folders()
        .into_iter()
        .chain(std::env::split_paths(&path))
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or(TestkitError::MissingProgram { program, package })
}

/// Lists PostgreSQL's program folders, the newest version first.
fn postgres_folders() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(POSTGRES_FOLDERS)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_unstable_by(|left, right| right.cmp(left));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

/// A user and group of the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    /// The user's number.
    pub(crate) uid: u32,
    /// The user's first group.
    pub(crate) gid: u32,
}

/// Picks who runs the servers: `None` (ourselves) unless we are root, whom PostgreSQL refuses.
///
/// # Errors
/// [`TestkitError::BadInput`] when we are root and the machine has no unprivileged user.
pub(crate) fn server_account() -> Result<Option<Account>, TestkitError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")
        .map_err(crate::error::io_error("read", Path::new("/etc/passwd")))?;
    let account = UNPRIVILEGED_USERS
        .iter()
        .find_map(|name| account_in(&users, name));
    account.map(Some).ok_or_else(|| TestkitError::BadInput {
        what: "/etc/passwd".to_owned(),
        reason: "PostgreSQL refuses to run as root, and neither `postgres` nor `nobody` exists"
            .to_owned(),
    })
}

/// Reads one user's numbers out of the text of a passwd file.
fn account_in(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_user = fields.next() == Some(name);
        let (uid, gid) = (fields.nth(1)?, fields.next()?);
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        (is_user && uid != 0).then_some(Account { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::{Account, account_in};

    #[test]
    fn reads_an_account_and_refuses_root_in_disguise() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres:x:101:104::/var:/bin/sh\nbad\n\
                     nobody:x:0:0::/:/bin/sh\n";
        let (uid, gid) = (101, 104);
        assert_eq!(account_in(users, "postgres"), Some(Account { uid, gid }));
        assert_eq!(account_in(users, "nobody"), None);
        assert_eq!(account_in(users, "redis"), None);
    }
}
