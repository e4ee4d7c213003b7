//! Migrations: what there is to apply, what was applied, and the step between the two.
//!
//! Two sets of numbered files under `migrations/postgres` are compiled into the program.
//! `registry` builds the schema of a Quay database and runs only where no Quay is; `quayhand` makes
//! the tables of our own and is all that runs beside a Quay. Each set notes what it applied in a
//! table of its own, in the form that sqlx's own tool reads.
//!
//! A step is one transaction with the note in it, under an advisory lock of that transaction: it is
//! applied whole or not at all, two migrators take turns, and `PgBouncer` may stand in between.
//! Nothing but the command and the demo calls these functions.
mod error;
mod files;
mod ledger;
mod set;
mod state;
mod step;

pub use error::MigrateError;
pub use files::{create, find_checkout};
pub use set::Set;
pub use state::{Current, Entry, State, check, current, history};
pub use step::{Depth, Step, down, up};
