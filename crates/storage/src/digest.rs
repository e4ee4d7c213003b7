//! Owns [`Digest`]: the only form of a blob's name that may lead to a path that is deleted.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

/// The digest of the empty layer (a gzipped empty tar).
///
/// Its object is shared by nearly every old image and Quay never removes it, although its rows come
/// and go; [`Storage::delete`](crate::Storage::delete) refuses it. Source: Quay
/// `EMPTY_LAYER_BLOB_DIGEST`.
pub const EMPTY_LAYER: Digest = Digest([
    0xa3, 0xed, 0x95, 0xca, 0xeb, 0x02, 0xff, 0xe6, 0x8c, 0xdd, 0x9f, 0xd8, 0x44, 0x06, 0x68, 0x0a,
    0xe9, 0x3d, 0x63, 0x3c, 0xb1, 0x64, 0x22, 0xd0, 0x0e, 0x8a, 0x7c, 0x22, 0x95, 0x5b, 0x46, 0xd4,
]);

/// A sha256 digest: 32 bytes, written as `sha256:` and 64 lower-case hex digits.
///
/// Quay's grammar allows more (other algorithms, upper-case hex, any length). Those never become a
/// `Digest`: whoever meets one keeps the object and reports it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Wraps the 32 bytes of a digest, as the database's tombstones hold them.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Computes the digest of a content held in memory; about 1 ms for 1 MiB.
    pub fn of(content: &[u8]) -> Self {
        let mut hasher = DigestHasher::default();
        hasher.update(content);
        hasher.finish()
    }

    /// Writes the 64 hex digits without the `sha256:` in front.
    pub fn hex(&self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            for nibble in [byte >> 4, byte & 0xf] {
                // A nibble is below 16, so there always is a digit.
                hex.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
            }
        }
        hex
    }

    /// Reads exactly 64 lower-case hex digits.
    pub(crate) fn from_hex(hex: &str) -> Option<Self> {
        let digits: &[u8; 64] = hex.as_bytes().try_into().ok()?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        text.strip_prefix("sha256:")
            .and_then(Self::from_hex)
            .ok_or_else(|| DigestError(text.chars().take(100).collect()))
    }
}

impl TryFrom<&[u8]> for Digest {
    type Error = DigestError;

    /// Takes the bytes of a digest as a database column returns them; any length but 32 is an
    /// error.
    fn try_from(bytes: &[u8]) -> Result<Self, DigestError> {
        let bytes = bytes
            .try_into()
            .map_err(|_| DigestError(format!("{} bytes", bytes.len())))?;
        Ok(Self(bytes))
    }
}

/// Says that a text or byte string is no digest that quayhand deletes by; what it names is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not `sha256:` followed by 64 lower-case hex digits: its object is kept")]
pub struct DigestError(String);

/// Computes a [`Digest`] of a content that arrives in pieces.
#[derive(Debug, Default)]
pub struct DigestHasher(Sha256);

impl DigestHasher {
    /// Adds the next piece; an empty one changes nothing.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// Returns the digest of all pieces so far; of none, the digest of the empty content.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// Reads one lower-case hex digit.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";

    #[test]
    fn reads_and_writes_the_empty_layer() {
        assert_eq!(EMPTY_LAYER.to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(EMPTY_LAYER));
        assert_eq!(
            Digest::try_from(&EMPTY_LAYER.as_bytes()[..]),
            Ok(EMPTY_LAYER)
        );
    }

    #[test]
    fn hashes_as_sha256sum_does() {
        let expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), expected);
    }

    #[test]
    fn refuses_everything_else() {
        let hex = &EMPTY[7..];
        for text in [
            String::new(),
            hex.to_owned(),
            format!("sha512:{hex}"),
            format!("SHA256:{hex}"),
            format!("sha256:{}", hex.to_uppercase()),
            format!("sha256:{hex}0"),
            format!("sha256:{}", &hex[1..]),
            format!(" sha256:{hex}"),
            format!("sha256:{hex}\n"),
            format!("sha256:../{}", &hex[3..]),
            format!("sha256:{}é", &hex[2..]),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text:?}");
        }
        assert!(Digest::try_from(&[0_u8; 31][..]).is_err());
    }

    proptest! {
        #[test]
        fn text_survives_the_round_trip(bytes: [u8; 32]) {
            let digest = Digest::from_bytes(bytes);
            prop_assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
        }

        #[test]
        fn what_parses_is_what_was_written(text in "(sha256:)?[0-9a-fA-F:./]{0,70}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }
}
