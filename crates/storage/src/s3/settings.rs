//! Owns the reading of the arguments of every engine that speaks S3: Quay's own names, and what
//! each means for the address, the bucket and the credentials.

mod address;

use std::fmt;

use self::address::{address, aws_endpoint, bucket, endpoint, environment_region, region};
use crate::{StorageError, arguments::Arguments, prefix::Prefix};

/// Arguments that change nothing here: sizes of writes, and how downloads are signed.
const PASSED_OVER: &[&str] = &[
    "boto_timeout",
    "maximum_chunk_size_gb",
    "maximum_chunk_size_mb",
    "minimum_chunk_size_mb",
    "server_side_assembly",
];
/// What a content delivery network in front of the bucket needs; objects are deleted behind it.
const FRONTS: &[&str] = &[
    "akamai_domain",
    "akamai_shared_secret",
    "cloudflare_domain",
    "cloudflare_privatekey_filename",
    "cloudfront_distribution_domain",
    "cloudfront_distribution_org_overrides",
    "cloudfront_key_id",
    "cloudfront_privatekey_filename",
];
/// The arguments of `S3Storage` that are used.
const AWS: &[&str] = &[
    "aws_session_token",
    "endpoint_url",
    "host",
    "port",
    "s3_access_key",
    "s3_bucket",
    "s3_region",
    "s3_secret_key",
    "signature_version",
    "storage_path",
];
/// The arguments of `STSS3Storage` that are used.
const STS: &[&str] = &[
    "endpoint_url",
    "s3_bucket",
    "s3_region",
    "signature_version",
    "storage_path",
    "sts_role_arn",
    "sts_user_access_key",
    "sts_user_secret_key",
];
/// The arguments of the servers of other makes that are used.
const HOSTED: &[&str] = &[
    "access_key",
    "bucket_name",
    "hostname",
    "is_secure",
    "port",
    "region_name",
    "secret_key",
    "signature_version",
    "storage_path",
];
/// The arguments of `GoogleCloudStorage` that are used.
const GOOGLE: &[&str] = &[
    "access_key",
    "bucket_name",
    "secret_key",
    "signature_version",
    "storage_path",
];
/// The region of a server that has none.
const DEFAULT_REGION: &str = "us-east-1";

/// Where a bucket is and how to speak with it.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Scheme, host and port, without a slash at the end.
    pub(crate) endpoint: String,
    /// The region that requests are signed for.
    pub(crate) region: String,
    pub(crate) bucket: String,
    pub(crate) prefix: Prefix,
    pub(crate) credentials: Credentials,
    pub(crate) deletes: Deletes,
    /// What is written is encrypted by the server, as Quay asks AWS to.
    pub(crate) encrypts: bool,
}

/// How many keys go with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deletes {
    /// A thousand at most, by `DeleteObjects`.
    Many,
    /// Each by its own request, some side by side.
    Single,
}

/// Who we are for the server.
#[derive(Clone)]
pub(crate) enum Credentials {
    /// A pair of keys, with a session token where they are temporary.
    Keys(Keys),
    /// What the environment, the container or the machine gives.
    Environment,
    /// The role of this name, taken on with a user's keys, or with the environment's token.
    Role {
        arn: Option<String>,
        user: Option<Keys>,
    },
}

/// A pair of keys.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) access: String,
    pub(crate) secret: String,
    pub(crate) session: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keys(_) => "Keys(***)",
            Self::Environment => "Environment",
            Self::Role { .. } => "Role(***)",
        })
    }
}

impl Settings {
    /// Reads the arguments of `S3Storage` and of the engines that put a front before it.
    pub(crate) fn aws(arguments: &Arguments<'_>) -> Result<Self, StorageError> {
        arguments.allow_only(&[AWS, FRONTS, PASSED_OVER])?;
        let keys = keys(arguments, "s3_access_key", "s3_secret_key")?;
        let session = arguments.credential("aws_session_token")?;
        let keys = keys.map(|keys| Keys {
            session: session.map(str::to_owned),
            ..keys
        });
        let credentials = keys.map_or(Credentials::Environment, Credentials::Keys);
        Self::of_aws(arguments, credentials)
    }

    /// Reads the arguments of `MultiCDNStorage`: what its default provider has is that bucket.
    pub(crate) fn multi_cdn(arguments: &Arguments<'_>) -> Result<Self, StorageError> {
        arguments.allow_only(&[&["default_provider", "providers", "rules", "storage_config"]])?;
        Self::aws(&arguments.map("storage_config")?)
    }

    /// Reads the arguments of `STSS3Storage`.
    pub(crate) fn sts(arguments: &Arguments<'_>) -> Result<Self, StorageError> {
        arguments.allow_only(&[STS, PASSED_OVER])?;
        let arn = arguments.credential("sts_role_arn")?.map(str::to_owned);
        let user = keys(arguments, "sts_user_access_key", "sts_user_secret_key")?;
        if user.is_some() && arn.is_none() {
            return Err(arguments.wrong("sts_role_arn", "is missing: which role do the keys take?"));
        }
        Self::of_aws(arguments, Credentials::Role { arn, user })
    }

    /// Reads the arguments of `RadosGWStorage`, `RHOCSStorage` and `IBMCloudStorage`.
    pub(crate) fn hosted(arguments: &Arguments<'_>) -> Result<Self, StorageError> {
        arguments.allow_only(&[HOSTED, PASSED_OVER])?;
        let is_secure = arguments.flag("is_secure")?;
        let is_secure = is_secure.ok_or_else(|| arguments.wrong("is_secure", "is missing"))?;
        arguments.required("hostname")?;
        Ok(Self {
            endpoint: address(arguments, "hostname", is_secure)?.unwrap_or_default(),
            region: region(arguments, "region_name")?.unwrap_or(DEFAULT_REGION.to_owned()),
            ..Self::with_keys(arguments)?
        })
    }

    /// Reads the arguments of `GoogleCloudStorage`, which Quay speaks S3 with as well. Google
    /// takes many keys at once only since lately, so each goes by itself.
    pub(crate) fn google(arguments: &Arguments<'_>) -> Result<Self, StorageError> {
        arguments.allow_only(&[GOOGLE, PASSED_OVER])?;
        Ok(Self {
            endpoint: "https://storage.googleapis.com".to_owned(),
            region: "auto".to_owned(),
            deletes: Deletes::Single,
            ..Self::with_keys(arguments)?
        })
    }

    /// Reads what engines with a `bucket_name` and a pair of keys share.
    fn with_keys(arguments: &Arguments<'_>) -> Result<Self, StorageError> {
        check_signature(arguments)?;
        let missing = || arguments.wrong("access_key", "is missing, or `secret_key` is");
        let keys = keys(arguments, "access_key", "secret_key")?.ok_or_else(missing)?;
        Ok(Self {
            endpoint: String::new(),
            region: String::new(),
            bucket: bucket(arguments, "bucket_name")?,
            prefix: Prefix::read(arguments)?,
            credentials: Credentials::Keys(keys),
            deletes: Deletes::Many,
            encrypts: false,
        })
    }

    /// Reads what the engines of AWS share. A region decides the address, whatever else is given.
    fn of_aws(arguments: &Arguments<'_>, credentials: Credentials) -> Result<Self, StorageError> {
        check_signature(arguments)?;
        let named = region(arguments, "s3_region")?;
        let region = named.clone().or_else(environment_region);
        let region = region.unwrap_or(DEFAULT_REGION.to_owned());
        let given = match arguments.text("endpoint_url")? {
            Some(url) => Some(endpoint(arguments, "endpoint_url", url)?),
            None => address(arguments, "host", true)?,
        };
        let endpoint = given.filter(|_| named.is_none());
        Ok(Self {
            endpoint: endpoint.unwrap_or_else(|| aws_endpoint(&region)),
            region,
            bucket: bucket(arguments, "s3_bucket")?,
            prefix: Prefix::read(arguments)?,
            credentials,
            deletes: Deletes::Many,
            encrypts: true,
        })
    }
}

/// Reads a pair of keys; none at all is `None`.
fn keys(
    arguments: &Arguments<'_>,
    access: &'static str,
    secret: &'static str,
) -> Result<Option<Keys>, StorageError> {
    match (arguments.credential(access)?, arguments.credential(secret)?) {
        (Some(access), Some(secret)) => Ok(Some(Keys {
            access: access.to_owned(),
            secret: secret.to_owned(),
            session: None,
        })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(arguments.wrong(secret, "is missing beside the access key")),
        (None, Some(_)) => Err(arguments.wrong(access, "is missing beside the secret key")),
    }
}

/// Only the signature of today is made; what asks for the one of old is told so.
fn check_signature(arguments: &Arguments<'_>) -> Result<(), StorageError> {
    match arguments.text("signature_version")? {
        None | Some("s3v4" | "v4") => Ok(()),
        Some(_) => Err(arguments.wrong(
            "signature_version",
            "is not `s3v4`, the only one that is supported",
        )),
    }
}

#[cfg(test)]
mod tests;
