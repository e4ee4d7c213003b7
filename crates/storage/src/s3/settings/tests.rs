//! Quay's arguments, and what they come to.

use serde_json::json;

use super::*;
use crate::{Storage, engine::Engine, http::Http};

/// Reads arguments of an engine.
fn read(engine: &str, arguments: &serde_json::Value) -> Result<Settings, StorageError> {
    let config = json!([engine, arguments]);
    match Engine::from_config("here", &config, &Http::new(None))? {
        Engine::S3(engine) => Ok(engine.settings.clone()),
        other => panic!("{other:?}"),
    }
}

fn s3(more: &serde_json::Value) -> serde_json::Value {
    let mut arguments = json!({
        "s3_bucket": "quay", "storage_path": "/registry",
        "s3_access_key": "AK", "s3_secret_key": "hush",
    });
    let map = arguments.as_object_mut().expect("a map");
    map.extend(more.as_object().expect("a map").clone());
    arguments
}

#[test]
fn finds_the_address_as_quay_does() {
    let region = "eu-west-1";
    for (more, endpoint) in [
        (
            json!({"s3_region": region}),
            "https://s3.eu-west-1.amazonaws.com",
        ),
        (
            json!({"s3_region": "cn-north-1"}),
            "https://s3.cn-north-1.amazonaws.com.cn",
        ),
        (json!({"host": "s3.example.com"}), "https://s3.example.com"),
        (
            json!({"host": "s3.example.com", "port": 9000}),
            "https://s3.example.com:9000",
        ),
        (
            json!({"host": "s3.example.com", "port": "9000"}),
            "https://s3.example.com:9000",
        ),
        (
            json!({"endpoint_url": "http://minio:9000/"}),
            "http://minio:9000",
        ),
        (json!({"endpoint_url": "http://a", "host": "b"}), "http://a"),
        // A region decides, whatever else is given.
        (
            json!({"s3_region": region, "host": "b"}),
            "https://s3.eu-west-1.amazonaws.com",
        ),
    ] {
        let settings = read("S3Storage", &s3(&more)).expect("settings");
        assert_eq!(settings.endpoint, endpoint, "{more}");
        assert_eq!(settings.prefix.join("x"), "registry/x");
        assert_eq!(
            (settings.bucket.as_str(), settings.deletes),
            ("quay", Deletes::Many)
        );
    }
}

#[test]
fn reads_every_engine_that_speaks_s3() {
    let front =
        |name: &str| json!({"s3_region": "us-east-2", name: "x", "maximum_chunk_size_gb": 1});
    for (engine, argument) in [
        ("CloudFrontedS3Storage", "cloudfront_distribution_domain"),
        ("CloudFlareStorage", "cloudflare_domain"),
        ("CloudFlareS3Storage", "cloudflare_privatekey_filename"),
        ("AkamaiS3Storage", "akamai_shared_secret"),
    ] {
        let settings = read(engine, &s3(&front(argument))).expect(engine);
        assert_eq!(settings.endpoint, "https://s3.us-east-2.amazonaws.com");
        assert!(settings.encrypts);
    }
    let under = json!({
        "storage_config": s3(&json!({"host": "under"})),
        "providers": {"cf": ["CloudFrontedS3Storage", {"cloudfront_key_id": "K"}]},
        "default_provider": "cf", "rules": [],
    });
    let settings = read("MultiCDNStorage", &under).expect("settings");
    assert_eq!(
        (settings.endpoint.as_str(), settings.bucket.as_str()),
        ("https://under", "quay")
    );

    let hosted = json!({
        "hostname": "rgw", "is_secure": false, "port": 7480, "storage_path": "",
        "access_key": "AK", "secret_key": "hush", "bucket_name": "b", "server_side_assembly": true,
    });
    for engine in ["RadosGWStorage", "RHOCSStorage", "IBMCloudStorage"] {
        let settings = read(engine, &hosted).expect(engine);
        assert_eq!(settings.endpoint, "http://rgw:7480");
        assert_eq!(
            (settings.region.as_str(), settings.encrypts),
            (DEFAULT_REGION, false)
        );
    }
    let google = json!({
        "access_key": "AK", "secret_key": "hush", "bucket_name": "b", "storage_path": "/x",
        "boto_timeout": 60,
    });
    let settings = read("GoogleCloudStorage", &google).expect("settings");
    assert_eq!(settings.endpoint, "https://storage.googleapis.com");
    assert_eq!(settings.deletes, Deletes::Single);
}

#[test]
fn knows_who_we_are() {
    let named =
        |arguments: serde_json::Value| read("S3Storage", &arguments).expect("settings").credentials;
    let keys = named(s3(&json!({"aws_session_token": "T"})));
    assert!(matches!(
        keys,
        Credentials::Keys(Keys {
            session: Some(_),
            ..
        })
    ));
    let none = named(s3(&json!({"s3_access_key": "", "s3_secret_key": null})));
    assert!(matches!(none, Credentials::Environment));
    let sts = json!({
        "s3_bucket": "quay", "storage_path": "/", "s3_region": "us-east-1",
        "sts_role_arn": "arn:aws:iam::1:role/quay",
        "sts_user_access_key": "AK", "sts_user_secret_key": "hush",
    });
    let settings = read("STSS3Storage", &sts).expect("settings");
    assert!(matches!(
        settings.credentials,
        Credentials::Role {
            user: Some(_),
            arn: Some(_)
        }
    ));
    assert!(!format!("{settings:?}").contains("hush"));
}

#[test]
fn refuses_what_it_could_not_honour() {
    for (more, key, problem) in [
        (json!({"s3_buckt": "x"}), "s3_buckt", "not known"),
        (json!({"s3_bucket": ""}), "s3_bucket", "missing"),
        (json!({"s3_bucket": "../x"}), "s3_bucket", "no name"),
        (json!({"s3_secret_key": ""}), "s3_secret_key", "beside"),
        (json!({"s3_access_key": ""}), "s3_access_key", "beside"),
        (json!({"s3_secret_key": "a\nb"}), "s3_secret_key", "control"),
        (json!({"s3_access_key": "ä"}), "s3_access_key", "ASCII"),
        (json!({"s3_access_key": 1}), "s3_access_key", "not text"),
        (
            json!({"signature_version": "s3"}),
            "signature_version",
            "s3v4",
        ),
        (json!({"s3_region": "x/../y"}), "s3_region", "region"),
        (json!({"port": 0, "host": "h"}), "port", "65535"),
        (json!({"port": 70_000, "host": "h"}), "port", "65535"),
        (json!({"host": "user@h"}), "host", "address"),
        (
            json!({"endpoint_url": "ftp://h"}),
            "endpoint_url",
            "address",
        ),
        (
            json!({"endpoint_url": "http://h/path"}),
            "endpoint_url",
            "address",
        ),
        (json!({"endpoint_url": "h"}), "endpoint_url", "address"),
        (json!({"storage_path": null}), "storage_path", "missing"),
        (json!({"storage_path": "a//b"}), "storage_path", "empty"),
        (json!({"sts_role_arn": "x"}), "sts_role_arn", "not known"),
    ] {
        let error = read("S3Storage", &s3(&more))
            .expect_err("refused")
            .to_string();
        assert!(error.contains(&format!("`{key}`")), "{more}: {error}");
        assert!(error.contains(problem), "{more}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
    let hosted = json!({
        "hostname": "rgw", "is_secure": "false", "storage_path": "",
        "access_key": "AK", "secret_key": "hush", "bucket_name": "b",
    });
    let error = read("RadosGWStorage", &hosted)
        .expect_err("refused")
        .to_string();
    assert!(error.contains("`is_secure`"), "{error}");
    let lone = json!({"s3_bucket": "b", "storage_path": "", "sts_user_access_key": "AK",
                      "sts_user_secret_key": "hush"});
    let error = read("STSS3Storage", &lone)
        .expect_err("refused")
        .to_string();
    assert!(error.contains("`sts_role_arn`"), "{error}");
    assert!(read("MultiCDNStorage", &json!({})).is_err());
}

#[test]
fn shows_no_secret() {
    let config = json!({"here": ["S3Storage", s3(&json!({}))]});
    let storage = Storage::from_config(&config, &[]).expect("a storage");
    let shown = format!("{storage:?}");
    assert!(!shown.contains("hush") && !shown.contains("AK"), "{shown}");
}
