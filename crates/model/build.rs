//! Rebuilds the crate when a migration is added: the embedding macro sees only the files it
//! found the last time.
fn main() {
    println!("cargo::rerun-if-changed=../../migrations/postgres");
}
