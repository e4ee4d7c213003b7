//! `config/quayhand.toml`: parses, explains every key, and tells the true defaults.

use super::*;

const FILE: &str = include_str!("../../../config/quayhand.toml");

/// The keys that have no default; the file gives an example.
const EXAMPLES: [&str; 5] = [
    "database.url",
    "redis.queue_url",
    "redis.locks_url",
    "redis.cache_url",
    "storage.locations",
];

/// Removes the `#` in front of settings; text has a blank after it.
fn uncommented() -> String {
    let is_setting = |rest: &&str| rest.starts_with(|first: char| first.is_ascii_lowercase());
    let line = |line: &'static str| line.strip_prefix('#').filter(is_setting).unwrap_or(line);
    FILE.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn setup() -> Setup {
    let mut setup = Setup::new();
    let process = Sources::of_process(None, None);
    setup.sources.queues = process.queues;
    setup.sources.schedules = process.schedules;
    setup.sources.kinds = process.kinds;
    setup
}

#[test]
fn as_it_stands_it_changes_nothing() {
    let config = setup().toml(FILE).load();
    assert_eq!(config, setup().load());
}

#[test]
fn it_covers_every_key_with_its_default() {
    let (config, defaults) = (setup().toml(&uncommented()).load(), setup().load());
    for row in config.rows() {
        assert!(
            matches!(row.origin, Origin::File { .. }),
            "`{}` is not in config/quayhand.toml",
            row.key
        );
    }
    assert_eq!(config.changed_keys(&defaults), {
        let mut examples = EXAMPLES;
        examples.sort_unstable();
        examples
    });
}

#[test]
fn it_explains_every_key() {
    let lines: Vec<_> = FILE.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        if line.starts_with('#') && !line.starts_with("# ") && *line != "#" {
            assert!(
                lines[number - 1].starts_with("# "),
                "nothing is said about `{line}`"
            );
        }
        assert!(line.chars().count() <= 100, "too long: {line}");
    }
}
