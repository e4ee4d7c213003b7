//! `USER_EVENTS_REDIS`: the server that holds Quay's locks must be the one we lock on.

use super::*;

#[track_caller]
fn locks(section: &str) -> String {
    let config = Setup::new().quay(&format!("A: 1\n{section}\n")).load();
    let redis = config.redis;
    assert_eq!(
        (&redis.locks_url, &redis.locks_url),
        (&redis.queue_url, &redis.cache_url)
    );
    exposed(redis.locks_url.as_ref()).to_owned()
}

#[test]
fn with_a_quay_there_is_always_a_locks_redis() {
    assert_eq!(locks(""), "redis://localhost:6379/0");
    assert_eq!(locks("USER_EVENTS_REDIS: {}"), "redis://localhost:6379/0");
}

#[test]
fn every_argument_finds_its_place() {
    assert_eq!(
        locks("USER_EVENTS_REDIS: {host: redis, port: 6380, db: 2}"),
        "redis://redis:6380/2"
    );
    assert_eq!(
        locks("USER_EVENTS_REDIS: {host: ::1, port: '7', ssl: on}"),
        "rediss://[::1]:7/0"
    );
    assert_eq!(
        locks("USER_EVENTS_REDIS: {password: 'p@s/s:%', host: a-b.c}"),
        "redis://:p%40s%2Fs%3A%25@a-b.c:6379/0"
    );
    assert_eq!(
        locks("USER_EVENTS_REDIS: {username: me, password: 12345}"),
        "redis://me:12345@localhost:6379/0"
    );
    assert_eq!(
        locks("USER_EVENTS_REDIS: {username: me, password: ''}"),
        "redis://me@localhost:6379/0"
    );
    assert_eq!(
        locks(
            "USER_EVENTS_REDIS: {password: ~, ssl_ca_certs: /x, socket_timeout: 3, health_check_interval: 2}"
        ),
        "redis://localhost:6379/0"
    );
}

#[test]
fn what_would_lead_to_another_server_is_an_error() {
    for (section, expected) in [
        (
            "USER_EVENTS_REDIS: ~",
            "`USER_EVENTS_REDIS` is not a mapping",
        ),
        (
            "USER_EVENTS_REDIS: hush",
            "`USER_EVENTS_REDIS` is not a mapping",
        ),
        (
            "USER_EVENTS_REDIS: {host: ~}",
            "`host` that is not a host name",
        ),
        (
            "USER_EVENTS_REDIS: {host: 'a/b@hush'}",
            "`host` that is not a host name",
        ),
        (
            "USER_EVENTS_REDIS: {port: hush}",
            "`port` that is not a whole number",
        ),
        (
            "USER_EVENTS_REDIS: {port: 70000}",
            "`port` that is not a whole number",
        ),
        (
            "USER_EVENTS_REDIS: {db: 010}",
            "`db` that is not a whole number",
        ),
        (
            "USER_EVENTS_REDIS: {ssl: 'sometimes'}",
            "`ssl` that is the text",
        ),
        (
            "USER_EVENTS_REDIS: {password: [hush]}",
            "`password` that is not a text",
        ),
        (
            "USER_EVENTS_REDIS: {password: 0123}",
            "`password` that is a number in a form",
        ),
        (
            "USER_EVENTS_REDIS: {unix_socket_path: /hush}",
            "`unix_socket_path` that is not understood; name the server",
        ),
        (
            "USER_EVENTS_REDIS: {port: 1, port: 2}",
            "`port` that is not a whole number",
        ),
        (
            "USER_EVENTS_REDIS_HOSTNAME: hush",
            "only the old USER_EVENTS_REDIS_HOSTNAME is there",
        ),
    ] {
        let message = Setup::new().quay(&format!("A: 1\n{section}\n")).refused();
        assert!(
            message.contains("config.yaml:2: `USER_EVENTS_REDIS` "),
            "{section}: {message}"
        );
        assert!(message.contains(expected), "{section}: {message}");
        assert!(!message.contains("hush"), "{message}");
    }
}

#[test]
fn our_file_may_name_the_servers_apart() {
    let setup = Setup::new()
        .quay("USER_EVENTS_REDIS: {unix_socket_path: /x}\n")
        .toml("[redis]\nlocks_url = 'redis+unix:///x'\nqueue_url = 'redis://q'\ncache_url = 'redis://c'\n");
    let redis = setup.load().redis;
    assert_eq!(exposed(redis.locks_url.as_ref()), "redis+unix:///x");
    assert_eq!(exposed(redis.queue_url.as_ref()), "redis://q");
    let partly = Setup::new()
        .quay("USER_EVENTS_REDIS: {host: quay}\n")
        .toml("[redis]\nqueue_url = 'redis://q'\n");
    let redis = partly.load().redis;
    assert_eq!(exposed(redis.locks_url.as_ref()), "redis://quay:6379/0");
    assert_eq!(exposed(redis.cache_url.as_ref()), "redis://quay:6379/0");
}

#[test]
fn certificates_are_taken_over() {
    let section =
        "USER_EVENTS_REDIS: {ssl: true, ssl_ca_certs: /ca, ssl_certfile: /c, ssl_keyfile: /k}";
    let config = Setup::new().quay(&format!("A: 1\n{section}\n")).load();
    let files = [
        config.redis.tls_ca_certs,
        config.redis.tls_certfile,
        config.redis.tls_keyfile,
    ];
    let files = files.map(|file| file.unwrap().display().to_string());
    assert_eq!(files, ["/ca", "/c", "/k"]);
}
