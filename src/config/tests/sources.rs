//! Sources laid over each other: which one wins, and what is no source at all.

use super::*;

#[test]
fn a_later_source_wins_key_by_key() {
    let setup = Setup::new()
        .quay("DB_URI: postgresql://a/a\nSETUP_COMPLETE: true\nDISABLE_PUSHES: true\n")
        .toml(
            "[database]\nurl = 'postgresql://b/b'\npool_size = 3\n\
             [registry]\ndisable_pushes = false\n",
        )
        .env("QUAYHAND_DATABASE_URL", "postgresql://c/c");
    let config = setup.load();
    assert_eq!(exposed(config.database.url.as_ref()), "postgresql://c/c");
    assert_eq!(config.database.pool_size, 3);
    assert!(config.registry.setup_complete && !config.registry.disable_pushes);
    assert_eq!(
        config.origin("database.url").to_string(),
        "environment variable QUAYHAND_DATABASE_URL"
    );
    assert!(
        config
            .origin("database.pool_size")
            .to_string()
            .ends_with("quayhand.toml:3")
    );
    assert!(
        config
            .origin("registry.setup_complete")
            .to_string()
            .ends_with("config.yaml:2")
    );
    assert!(
        config
            .origin("registry.disable_pushes")
            .to_string()
            .ends_with("quayhand.toml:5")
    );
    assert_eq!(config.origin("redis.locks_url"), Origin::QuayDefault);
    assert_eq!(config.origin("gc.blob_hold"), Origin::Default);
}

#[test]
fn the_environment_names_all_redis_roles_and_the_storage() {
    let config = Setup::new()
        .toml(
            "[redis]\nlocks_url = 'redis://other'\n[storage]\npreference = ['gone']\n\
             locations = { gone = ['LocalStorage', { storage_path = '/gone' }] }\n",
        )
        .env("QUAYHAND_REDIS_URL", "redis://:hush@here:1/2")
        .env(
            "QUAYHAND_STORAGE",
            r#"{"here": ["LocalStorage", {"storage_path": "relative/path"}]}"#,
        )
        .load();
    for url in [
        &config.redis.queue_url,
        &config.redis.locks_url,
        &config.redis.cache_url,
    ] {
        assert_eq!(exposed(url.as_ref()), "redis://:hush@here:1/2");
    }
    assert_eq!(
        config.storage.locations.expose()["here"][1]["storage_path"],
        "relative/path"
    );
    assert!(
        config.storage.preference.is_empty(),
        "an order of other locations means nothing"
    );
}

#[test]
fn arguments_of_one_database_never_reach_another() {
    let quay = "DB_URI: postgresql://a/a\nDB_CONNECTION_ARGS: {sslmode: require}\n";
    let setup = Setup::new().quay(quay);
    assert_eq!(
        setup.load().database.connection_args.expose()["sslmode"],
        "require"
    );
    let setup = setup.env("QUAYHAND_DATABASE_URL", "postgresql://b/b");
    assert!(setup.load().database.connection_args.is_empty());
}

#[test]
fn empty_or_malformed_variables_are_errors() {
    for (name, value, expected) in [
        (
            "QUAYHAND_DATABASE_URL",
            "",
            "environment variable QUAYHAND_DATABASE_URL: `QUAYHAND_DATABASE_URL` is set but empty",
        ),
        (
            "QUAYHAND_DATABASE_URL",
            "host=x password=hush",
            "is a text of another form (not shown)",
        ),
        (
            "QUAYHAND_DATABASE_URL",
            "mysql://hush@x/y",
            "`database.url` must begin with `postgresql://`",
        ),
        (
            "QUAYHAND_REDIS_URL",
            "http://hush",
            "must begin with `redis://`",
        ),
        (
            "QUAYHAND_STORAGE",
            "{hush",
            "is not JSON: wrong at line 1, column 2",
        ),
        ("QUAYHAND_STORAGE", "[\"hush\"]", "is not a table"),
        ("QUAY_OVERRIDE_CONFIG", "{hush", "is not JSON"),
        ("QUAY_OVERRIDE_CONFIG", "[\"hush\"]", "is not a JSON object"),
        ("QUAY_OVERRIDE_CONFIG", "", "is set but empty"),
    ] {
        let message = Setup::new().env(name, value).refused();
        assert!(message.contains(expected), "{name}={value}: {message}");
        assert!(!message.contains("hush"), "{message}");
    }
}

#[test]
fn text_that_is_not_utf8_is_an_error() {
    use std::os::unix::ffi::OsStringExt;
    let mut setup = Setup::new();
    let bytes = std::ffi::OsString::from_vec(vec![0xff]);
    setup.sources.environment = setup.sources.environment.with("QUAYHAND_REDIS_URL", bytes);
    assert!(setup.refused().contains("is not UTF-8 text"));
    let setup = Setup::new().quay("").toml("");
    for path in [
        setup.sources.quay_config.clone().unwrap(),
        setup.sources.config.clone().unwrap(),
    ] {
        fs::write(&path, [0xff]).unwrap();
    }
    assert!(
        setup
            .refused()
            .contains("could not read the configuration file `config.yaml`")
    );
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let mut setup = Setup::new();
    setup.sources.config = Some(setup.folder.path().join("absent.toml"));
    assert!(
        setup
            .refused()
            .contains("could not read the configuration file `absent.toml`")
    );
    setup.sources.quay_config = Some(setup.folder.path().join("absent.yaml"));
    assert!(setup.refused().contains("`absent.yaml`"));
}
