//! Our own TOML file: what it accepts and how it says no.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn refused(text: &str, expected: &str) {
    let message = Setup::new().toml(text).refused();
    assert_eq!(message, expected, "{text}");
}

#[test]
fn an_unknown_key_names_the_nearest_one_and_the_line() {
    refused(
        "[gc]\n\nbatch_tag = 400\n",
        "quayhand.toml:3: there is no setting `gc.batch_tag`; did you mean `gc.batch_tags`?",
    );
    refused(
        "lease = '10s'",
        "quayhand.toml:1: there is no setting `lease`; did you mean `worker.lease`?",
    );
    refused(
        "[databse]\nurl = 'x'",
        "quayhand.toml:2: there is no setting `databse.url`; did you mean `database.url`?",
    );
    refused(
        "[registry]\nFEATURE_IMMUTABLE_TAGS = true",
        "quayhand.toml:2: there is no setting `registry.FEATURE_IMMUTABLE_TAGS`; \
         did you mean `registry.feature_immutable_tags`?",
    );
    refused(
        "[queues.gcc]\nconcurrency = 1",
        "quayhand.toml:2: there is no setting `queues.gcc.concurrency`; did you mean `queues.gc.concurrency`?",
    );
    refused(
        "[queues.gc]\nconcurency = 1",
        "quayhand.toml:2: there is no setting `queues.gc.concurency`; did you mean `queues.gc.concurrency`?",
    );
    refused(
        "gc = 1",
        "quayhand.toml:1: `gc` is a section, not a setting; its settings go below `[gc]`",
    );
}

#[test]
fn all_problems_are_told_at_once() {
    refused(
        "[gc]\nbatch_tags = 'many'\nblob_hold = 2\n[log]\nlevel = 'loud'\n",
        "3 problems in the configuration:\n  \
         quayhand.toml:2: `gc.batch_tags` is the text `many`; expected a whole number from 0\n  \
         quayhand.toml:3: `gc.blob_hold` is the number `2`; expected a whole number with ms, s, m, h or d, such as \"30s\"\n  \
         quayhand.toml:5: `log.level` is the text `loud`; expected `error` or `warn` or `info` or `debug` or `trace`",
    );
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    for text in [
        "[registry]\nfeature_immutable_tags = 'true'",
        "[registry]\nfeature_immutable_tags = 1",
        "[registry]\nfeature_immutable_tags = {}",
        "[registry]\nregistry_state = 'Readonly'",
        "[database]\nurl = 1",
        "[database]\npool_size = 1979-05-27",
        "[storage]\nlocations = ['LocalStorage', {}]",
        "[storage]\npreference = 'local'",
        "[queues]\ngc = 1",
    ] {
        let message = Setup::new().toml(text).refused();
        assert!(
            message.starts_with("quayhand.toml:2: `"),
            "{text}: {message}"
        );
    }
}

#[test]
fn broken_toml_names_the_line() {
    for text in [
        "[gc]\nbatch_tags = \n",
        "[gc]\nbatch_tags = 400\nbatch_tags = 500\n",
        "[gc\n",
        "\u{0}",
    ] {
        let message = Setup::new().toml(text).refused();
        assert!(message.starts_with("quayhand.toml:"), "{message}");
        assert!(message.contains("this is not TOML: "), "{message}");
    }
}

#[test]
fn tables_may_be_written_in_every_form() {
    for text in [
        "[storage.locations]\nhere = ['LocalStorage', { storage_path = '/x' }]\n",
        "storage.locations.here = ['LocalStorage', { storage_path = '/x' }]\n",
        "storage = { locations = { here = ['LocalStorage', { storage_path = '/x' }] } }\n",
    ] {
        let config = Setup::new().toml(text).load();
        let expected = serde_json::json!({"here": ["LocalStorage", {"storage_path": "/x"}]});
        assert_eq!(config.storage.locations.expose(), &expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_panics(text in prop_oneof![
        any::<String>(),
        "((\\[|\\]|\\{|\\}|,|=|\"|'|\\.|#|\n| |gc|database|url|queues|1|true){0,30})",
    ]) {
        if let Err(error) = Config::load(&Setup::new().toml(&text).sources) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
