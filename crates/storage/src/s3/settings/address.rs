//! Owns what is part of an address: hosts, ports, regions and buckets, each checked so that it
//! leads nowhere else.

use std::env;

use http::Uri;

use crate::{StorageError, arguments::Arguments};

/// Returns the address of AWS in a region; China has its own.
pub(super) fn aws_endpoint(region: &str) -> String {
    let country = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://s3.{region}.amazonaws.com{country}")
}

pub(super) fn environment_region() -> Option<String> {
    let named = ["AWS_REGION", "AWS_DEFAULT_REGION"].map(|name| env::var(name).ok());
    named.into_iter().flatten().find(|region| is_name(region))
}

pub(super) fn bucket(arguments: &Arguments<'_>, key: &'static str) -> Result<String, StorageError> {
    let bucket = arguments.required(key)?;
    if is_name(bucket) {
        Ok(bucket.to_owned())
    } else {
        Err(arguments.wrong(key, "is no name of a bucket"))
    }
}

pub(super) fn region(
    arguments: &Arguments<'_>,
    key: &'static str,
) -> Result<Option<String>, StorageError> {
    match arguments.text(key)? {
        Some(region) if !is_name(region) => Err(arguments.wrong(key, "is no name of a region")),
        region => Ok(region.map(str::to_owned)),
    }
}

/// Says whether a text can stand in an address without being encoded, and leads nowhere else.
fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_plain)
}

/// Builds an address from a host's name and the argument `port`.
pub(super) fn address(
    arguments: &Arguments<'_>,
    key: &'static str,
    is_secure: bool,
) -> Result<Option<String>, StorageError> {
    let Some(host) = arguments.text(key)? else {
        return Ok(None);
    };
    let scheme = if is_secure { "https" } else { "http" };
    let url = match arguments.port("port")? {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    };
    endpoint(arguments, key, &url).map(Some)
}

/// Checks an address: a scheme, a host, perhaps a port, and nothing behind.
pub(super) fn endpoint(
    arguments: &Arguments<'_>,
    key: &'static str,
    url: &str,
) -> Result<String, StorageError> {
    let wrong = || arguments.wrong(key, "is no address such as `https://s3.example.com:9000`");
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let has_scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority().filter(|host| !host.as_str().contains('@'));
    let is_bare = uri.path() == "/" && uri.query().is_none();
    match (authority, has_scheme && is_bare) {
        (Some(_), true) => Ok(url.trim_end_matches('/').to_owned()),
        _ => Err(wrong()),
    }
}
