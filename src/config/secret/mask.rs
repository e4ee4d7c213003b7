//! Owns the masking: what is not known to be harmless is not shown.

use serde_json::Value;

/// Stands where something is not shown.
const MASK: &str = "***";

/// The names whose values are no secret, in URL parameters and in maps of arguments.
///
/// What is not named here is masked: a new engine's key must not leak because nobody thought of it.
const OPEN: &[&str] = &[
    "application_name",
    "azure_account_name",
    "azure_container",
    "bucket_name",
    "connect_timeout",
    "db",
    "default_provider",
    "endpoint_url",
    "host",
    "hostname",
    "is_secure",
    "keepalives",
    "keepalives_idle",
    "port",
    "region_name",
    "signature_version",
    "sts_role_arn",
    "s3_bucket",
    "s3_region",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "storage_path",
    "swift_container",
    "target_session_attrs",
];

/// Copies a value, masking every leaf whose name is not open.
pub(super) fn mask_value(value: &Value, open: bool) -> Value {
    match value {
        Value::Object(map) => {
            let entry = |(name, value): (&String, &Value)| {
                (
                    name.clone(),
                    mask_value(value, OPEN.contains(&name.as_str())),
                )
            };
            Value::Object(map.iter().map(entry).collect())
        }
        Value::Array(items) => match items.as_slice() {
            // A storage location: the engine's name is no secret, its arguments may be.
            [Value::String(engine), arguments @ Value::Object(_)] => {
                vec![engine.clone().into(), mask_value(arguments, false)].into()
            }
            items => items.iter().map(|item| mask_value(item, open)).collect(),
        },
        Value::String(text) if open => mask_url(text).into(),
        other if open => other.clone(),
        _ => MASK.into(),
    }
}

/// Masks a URL's password and every parameter that is not known to be open.
///
/// A password may hold unencoded `/`, `?` or `@`, so all up to the last `@` counts as user and
/// password: rather too much is masked than too little.
pub(super) fn mask_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (user, rest) = rest
        .rsplit_once('@')
        .map_or((None, rest), |(user, rest)| (Some(user), rest));
    let (place, query) = rest
        .split_once('?')
        .map_or((rest, None), |(place, query)| (place, Some(query)));
    let mut masked = format!("{scheme}://");
    if let Some(user) = user {
        match user.split_once(':') {
            Some((name, _)) => masked.extend([name, ":", MASK, "@"]),
            None if user.contains(['/', '?']) => masked.extend([MASK, "@"]),
            None => masked.extend([user, "@"]),
        }
    }
    masked.push_str(place);
    let parameters: Vec<_> = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .map(mask_parameter)
        .collect();
    if !parameters.is_empty() {
        masked.extend(["?", &parameters.join("&")]);
    }
    masked
}

/// Masks the value of `name=value` unless the name is open.
fn mask_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if !OPEN.contains(&name) => format!("{name}={MASK}"),
        _ => parameter.to_owned(),
    }
}
