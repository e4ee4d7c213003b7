//! Quay's `config.yaml`: flags that protect must protect, and doubt is an error.

use super::*;

#[track_caller]
pub(super) fn flag(text: &str) -> bool {
    Setup::new()
        .quay(text)
        .load()
        .registry
        .feature_immutable_tags
}

#[track_caller]
pub(super) fn refused(text: &str, expected: &str) {
    let message = Setup::new().quay(text).refused();
    assert!(message.contains(expected), "{text}: {message}");
}

#[test]
fn feature_immutable_tags_yes_protects() {
    for word in [
        "yes",
        "Yes",
        "YES",
        "on",
        "On",
        "ON",
        "true",
        "True",
        "TRUE",
        "1",
        "'true'",
        "\"TRUE\"",
        "!!bool yes",
    ] {
        assert!(flag(&format!("FEATURE_IMMUTABLE_TAGS: {word}\n")), "{word}");
    }
    for word in ["no", "Off", "FALSE", "0", "'False'", "!!str false"] {
        assert!(
            !flag(&format!("FEATURE_IMMUTABLE_TAGS: {word}\n")),
            "{word}"
        );
    }
    assert!(!flag("OTHER: 1\n"), "absent is Quay's default");
}

#[test]
fn what_cannot_be_interpreted_is_an_error_and_never_false() {
    for (value, said) in [
        (
            "maybe",
            "is the text `maybe`, which is neither true nor false",
        ),
        ("'yes'", "is the text `yes`"),
        ("y", "is the text `y`"),
        ("''", "is the text ``"),
        ("~", "is empty (null)"),
        ("", "is empty (null)"),
        ("[true]", "is a list"),
        ("{true: true}", "is a mapping"),
        ("1.0", "is a fraction"),
        (
            "0x1",
            "is a number in a form that YAML 1.1 reads unexpectedly",
        ),
        ("2020-01-01", "is a date"),
        ("!yes true", "has a tag that is not understood"),
        ("!!bool maybe", "has a tag that is not understood"),
        (
            "true\nFEATURE_IMMUTABLE_TAGS: false",
            "is given twice, in lines 2 and 3",
        ),
        (
            "true\n\"FEATURE_IMMUTABLE_TAGS\": false",
            "is given twice, in lines 2 and 3",
        ),
    ] {
        let text = format!("A: b\nFEATURE_IMMUTABLE_TAGS: {value}\n");
        refused(
            &text,
            &format!("config.yaml:2: `FEATURE_IMMUTABLE_TAGS` {said}"),
        );
    }
}

#[test]
fn other_flags_follow_pythons_rules_as_far_as_they_are_certain() {
    let config = Setup::new()
        .quay("SETUP_COMPLETE: yes\nDISABLE_PUSHES: 'true'\nACCOUNT_RECOVERY_MODE: 0\n")
        .load();
    let registry = config.registry;
    assert!(registry.setup_complete && registry.disable_pushes && !registry.account_recovery_mode);
    refused(
        "DISABLE_PUSHES: 'false'\n",
        "is the text `false`, which Quay takes for true",
    );
}

#[test]
fn every_flag_is_read() {
    let text = "FEATURE_GARBAGE_COLLECTION: off\nFEATURE_REPOSITORY_GARBAGE_COLLECTION: off\n\
                FEATURE_NAMESPACE_GARBAGE_COLLECTION: off\nFEATURE_IMMUTABLE_TAGS: on\nFEATURE_IMMUTABLE_TAGS_CAN_EXPIRE: on\n\
                FEATURE_QUOTA_MANAGEMENT: on\nQUOTA_INVALIDATE_TOTALS: off\n\
                FEATURE_QUOTA_SUPPRESS_FAILURES: on\nDISABLE_PUSHES: on\n\
                ACCOUNT_RECOVERY_MODE: on\nSETUP_COMPLETE: on\nREGISTRY_STATE: readonly\n";
    let config = Setup::new().quay(text).load();
    let expected = Registry {
        feature_garbage_collection: false,
        feature_repository_garbage_collection: false,
        feature_namespace_garbage_collection: false,
        feature_immutable_tags: true,
        feature_immutable_tags_can_expire: true,
        feature_quota_management: true,
        quota_invalidate_totals: false,
        feature_quota_suppress_failures: true,
        disable_pushes: true,
        account_recovery_mode: true,
        setup_complete: true,
        registry_state: RegistryState::Readonly,
        ..Registry::default()
    };
    assert_eq!(config.registry, expected);
    refused(
        "REGISTRY_STATE: read-only\n",
        "expected `normal` or `readonly`",
    );
}

#[test]
fn setup_complete_is_false_until_quay_says_otherwise() {
    let setup = Setup::new().quay("SERVER_HOSTNAME: quay\n");
    let config = setup.load();
    assert!(!config.registry.setup_complete);
    assert_eq!(
        config.origin("registry.setup_complete"),
        Origin::QuayDefault
    );
    assert!(
        setup
            .toml("[registry]\nsetup_complete = true\n")
            .load()
            .registry
            .setup_complete
    );
}

#[test]
fn our_file_may_settle_what_quays_leaves_open() {
    let setup = Setup::new().quay("FEATURE_IMMUTABLE_TAGS: maybe\n");
    let setup = setup.toml("[registry]\nfeature_immutable_tags = true\n");
    assert!(setup.load().registry.feature_immutable_tags);
}

#[test]
fn the_override_replaces_keys_even_without_a_file() {
    let over = r#"{"FEATURE_IMMUTABLE_TAGS": true, "DB_URI": "postgresql://b/b"}"#;
    let setup = Setup::new().env("QUAY_OVERRIDE_CONFIG", over);
    assert!(setup.load().registry.feature_immutable_tags);
    let config = setup
        .quay("FEATURE_IMMUTABLE_TAGS: no\nDB_URI: postgresql://a/a\nSETUP_COMPLETE: on\n")
        .load();
    assert!(config.registry.feature_immutable_tags && config.registry.setup_complete);
    assert_eq!(exposed(config.database.url.as_ref()), "postgresql://b/b");
    assert_eq!(
        config.origin("database.url"),
        Origin::Environment("QUAY_OVERRIDE_CONFIG")
    );
    for wrong in ["\"maybe\"", "null", "[]"] {
        let over = format!("{{\"FEATURE_IMMUTABLE_TAGS\": {wrong}}}");
        let message = Setup::new().env("QUAY_OVERRIDE_CONFIG", &over).refused();
        assert!(
            message.starts_with(
                "environment variable QUAY_OVERRIDE_CONFIG: `FEATURE_IMMUTABLE_TAGS` is"
            ),
            "{message}"
        );
    }
}

#[test]
fn storage_and_database_are_taken_over() {
    let text = "DB_URI: postgresql+psycopg2://quay:p%40ss@db:5432/quay\n\
                DB_CONNECTION_ARGS: {threadlocals: true, autorollback: true, sslmode: verify-full, connect_timeout: 3}\n\
                DISTRIBUTED_STORAGE_CONFIG:\n  west: [LocalStorage, {storage_path: /west}]\n  \
                east: [LocalStorage, {storage_path: /east}]\n";
    let setup = Setup::new().quay(text);
    let config = setup.load();
    assert_eq!(
        exposed(config.database.url.as_ref()),
        "postgresql+psycopg2://quay:p%40ss@db:5432/quay"
    );
    let expected = serde_json::json!({"sslmode": "verify-full", "connect_timeout": 3});
    assert_eq!(config.database.connection_args.expose(), &expected);
    assert_eq!(
        config.storage.locations.expose()["east"][1]["storage_path"],
        "/east"
    );
    assert_eq!(
        config.storage.preference,
        ["west", "east"],
        "the order of the file"
    );

    let setup = setup.quay(&format!("{text}DISTRIBUTED_STORAGE_PREFERENCE: [east]\n"));
    assert_eq!(setup.load().storage.preference, ["east"]);
    let setup = setup.env("QUAY_DISTRIBUTED_STORAGE_PREFERENCE", " west  east ");
    assert_eq!(setup.load().storage.preference, ["west", "east"]);
}
