//! Finding the material that lies beside the checkout, and saying so when it does not.

use std::{io::Write as _, path::PathBuf};

/// Finds the folder with schema facts and golden data, `None` when this machine has none.
///
/// It is what the environment's `QUAYHAND_SHARED` names, else `../shared` beside the checkout. A
/// variable that names a folder which does not exist counts as none.
pub fn shared_dir() -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let folder = std::env::var_os("QUAYHAND_SHARED").map_or_else(beside, PathBuf::from);
    folder.canonicalize().ok().filter(|path| path.is_dir())
}

/// Prints `SKIPPED: <test>: ../shared is missing` past the test harness's output capture.
///
/// The name is that of the current thread, which the harness names after the test. Use it through
/// [`shared_or_skip!`](crate::shared_or_skip).
pub fn report_skipped() {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("an unnamed test");
    // One write, so that tests side by side do not mix their lines. A harness whose standard error
    // is closed shall not turn a skipped test into a failed one.
    let line = format!("SKIPPED: {test}: ../shared is missing\n");
    let _closed = std::io::stderr().write_all(line.as_bytes());
}

/// Evaluates to the shared folder, or reports the test as skipped and returns from it.
///
/// For tests that return `()`:
///
/// ```
/// fn reads_the_schema() {
///     let shared = quayhand_testkit::shared_or_skip!();
///     assert!(shared.is_dir());
/// }
/// # reads_the_schema();
/// ```
#[macro_export]
macro_rules! shared_or_skip {
    () => {
        match $crate::shared_dir() {
            Some(folder) => folder,
            None => {
                $crate::report_skipped();
                return;
            }
        }
    };
}
