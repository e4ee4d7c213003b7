//! No password is ever shown.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn shows_addresses_without_passwords() {
    for (url, shown) in [
        (
            "postgresql://quay:hush@db:5432/quay",
            "postgresql://quay:***@db:5432/quay",
        ),
        (
            "postgresql://quay@db/quay?sslmode=require",
            "postgresql://quay@db/quay?sslmode=require",
        ),
        (
            "postgresql:///quay?host=/run/db&password=hush",
            "postgresql:///quay?host=/run/db&password=***",
        ),
        (
            "redis://:hush@localhost:6379/1",
            "redis://:***@localhost:6379/1",
        ),
        ("redis://a:hu/sh?@h@localhost", "redis://a:***@localhost"),
        (
            "redis+unix:///run/redis.sock?db=1&pass=hush",
            "redis+unix:///run/redis.sock?db=1&pass=***",
        ),
        (
            "postgresql:///q?password=hush&user=a@b",
            "postgresql://***@b",
        ),
    ] {
        assert_eq!(SecretUrl::new(url).to_string(), shown);
        assert!(!format!("{:?}", Some(SecretUrl::new(url))).contains("hush"));
    }
}

#[test]
fn shows_arguments_only_when_they_are_known_to_be_harmless() {
    let map = SecretMap(json!({
        "east": ["S3Storage", {
            "s3_bucket": "blobs", "s3_secret_key": "hush", "port": 443,
            "endpoint_url": "https://me:hush@s3", "new": ["hush", 1], "rules": {"host": "h", "k": "hush"},
        }],
        "password": "hush",
    }));
    let shown = map.to_string();
    assert!(!shown.contains("hush"), "{shown}");
    for open in [
        "S3Storage",
        "\"blobs\"",
        "443",
        "https://me:***@s3",
        "\"host\":\"h\"",
    ] {
        assert!(shown.contains(open), "{open} in {shown}");
    }
    assert_eq!(format!("{map:?}"), format!("SecretMap({shown})"));
}

#[test]
fn refuses_what_is_no_address_without_showing_it() {
    for wrong in [
        json!("host=db password=hush"),
        json!("hush"),
        json!(["hush"]),
        json!("redis://hush hush"),
    ] {
        let said = None::<SecretUrl>.read(&wrong).unwrap_err();
        assert!(!said.contains("hush"), "{said}");
    }
}

proptest! {
    #[test]
    fn no_password_is_ever_shown(password in "[^@]{0,3}SECRET.{0,12}", host in "[a-z]{1,8}") {
        let url = SecretUrl::new(format!("postgresql://quay:{password}@{host}/quay"));
        prop_assert!(!url.to_string().contains("SECRET"));
    }
}
