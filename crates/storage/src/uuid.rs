//! Owns the two uuids that appear in object paths. Only the form that Quay writes is read: 36
//! characters, lower case.

use std::{fmt, str::FromStr};

/// The `uuid` of an `imagestorage` row whose object lies at the path of Quay's first version
/// (`cas_path` false).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegacyUuid(u128);

/// The `uuid` of a `blobupload` row, under which the chunks of an upload in progress lie.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadUuid(u128);

/// Says that a text is no uuid in the form Quay writes; what it names is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a lower-case uuid such as `0b9f3a5e-7c1d-4e2f-8a6b-1c2d3e4f5a6b`: \
     its object is kept"
)]
pub struct UuidError(String);

/// Gives both kinds the same text form without letting one stand for the other.
macro_rules! text_form {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = UuidError;

            fn from_str(text: &str) -> Result<Self, UuidError> {
                read(text).map(Self)
            }
        }
    };
}

text_form!(LegacyUuid);
text_form!(UploadUuid);

/// Writes the 8-4-4-4-12 form in lower case.
fn write(uuid: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let hex = format!("{uuid:032x}");
    write!(
        f,
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// Reads the 8-4-4-4-12 form in lower case, and nothing that would be written back differently.
fn read(text: &str) -> Result<u128, UuidError> {
    let mut uuid = 0_u128;
    let mut valid = text.len() == 36;
    for (at, character) in text.chars().enumerate() {
        match character {
            '-' => valid &= matches!(at, 8 | 13 | 18 | 23),
            '0'..='9' | 'a'..='f' => {
                valid &= !matches!(at, 8 | 13 | 18 | 23);
                // The pattern admits hex digits only.
                uuid = uuid << 4 | u128::from(character.to_digit(16).unwrap_or(0));
            }
            _ => valid = false,
        }
    }
    if valid {
        Ok(uuid)
    } else {
        Err(UuidError(text.chars().take(100).collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_quay_does_not_write() {
        for text in [
            "",
            "0b9f3a5e7c1d4e2f8a6b1c2d3e4f5a6b",
            "0B9F3A5E-7C1D-4E2F-8A6B-1C2D3E4F5A6B",
            "0b9f3a5e-7c1d-4e2f-8a6b-1c2d3e4f5a6",
            "0b9f3a5e-7c1d-4e2f-8a6b-1c2d3e4f5a6b0",
            "0b9f3a5e-7c1d-4e2f-8a6b1-c2d3e4f5a6b",
            "0b9f3a5e-7c1d-4e2f-8a6b-1c2d3e4f5a/b",
            "------------------------------------",
            "../../../../../../../../../etc/passw",
        ] {
            assert!(text.parse::<LegacyUuid>().is_err(), "{text:?}");
            assert!(text.parse::<UploadUuid>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn text_survives_the_round_trip(uuid: u128) {
            let text = LegacyUuid(uuid).to_string();
            prop_assert_eq!(text.parse(), Ok(LegacyUuid(uuid)));
            prop_assert_eq!(text.parse(), Ok(UploadUuid(uuid)));
        }

        #[test]
        fn what_parses_is_what_was_written(
            text in "[0-9a-fA-F]{7,8}(-[0-9a-f]{4}){3}-[0-9a-f./-]{12}",
        ) {
            if let Ok(uuid) = text.parse::<LegacyUuid>() {
                prop_assert_eq!(uuid.to_string(), text);
            }
        }
    }
}
