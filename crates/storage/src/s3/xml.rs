//! Owns the XML of S3: what is asked of the server, and what it answers.

use std::collections::HashMap;

use bytes::Bytes;
use http::StatusCode;
use quick_xml::{de, escape::escape};
use serde::Deserialize;

use crate::Deleted;

/// Writes the request that deletes these keys and names each in its answer.
pub(super) fn delete_request(keys: &[String]) -> Bytes {
    let mut xml = String::from("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for key in keys {
        xml.push_str("<Object><Key>");
        xml.push_str(&escape(key.as_str()));
        xml.push_str("</Key></Object>");
    }
    xml.push_str("</Delete>");
    xml.into()
}

#[derive(Deserialize)]
#[serde(rename = "DeleteResult")]
struct DeleteResult {
    #[serde(default, rename = "Deleted")]
    deleted: Vec<Named>,
    #[serde(default, rename = "Error")]
    errors: Vec<KeyError>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "Key")]
    key: String,
}

#[derive(Deserialize)]
struct KeyError {
    #[serde(rename = "Key")]
    key: String,
    #[serde(default, rename = "Code")]
    code: String,
    #[serde(default, rename = "Message")]
    message: String,
}

/// Reads what became of each key. A key that the answer does not name has no entry.
///
/// # Errors
/// When the answer is cut off or is something else: then it says nothing about any key.
pub(super) fn delete_answer(body: &[u8]) -> Result<HashMap<String, Deleted>, String> {
    let text = whole(body, "DeleteResult")?;
    let result: DeleteResult = de::from_str(text).map_err(|error| error.to_string())?;
    let deleted = result.deleted.into_iter();
    let mut answers: HashMap<_, _> = deleted.map(|named| (named.key, Deleted::Removed)).collect();
    // An error weighs more than a confirmation of the same key.
    for error in result.errors {
        let answer = match error.code.as_str() {
            "NoSuchKey" => Deleted::NotFound,
            // The server began and does not know how it ended.
            "InternalError" => Deleted::Unknown(said(&error.code, &error.message)),
            _ => Deleted::Failed(said(&error.code, &error.message)),
        };
        answers.insert(error.key, answer);
    }
    Ok(answers)
}

#[derive(Deserialize)]
#[serde(rename = "ListMultipartUploadsResult")]
pub(super) struct UploadPage {
    #[serde(default, rename = "Upload")]
    pub(super) uploads: Vec<Upload>,
    #[serde(default, rename = "IsTruncated")]
    pub(super) is_truncated: bool,
    #[serde(default, rename = "NextKeyMarker")]
    pub(super) next_key: String,
    #[serde(default, rename = "NextUploadIdMarker")]
    pub(super) next_id: String,
}

#[derive(Deserialize)]
pub(super) struct Upload {
    #[serde(rename = "Key")]
    pub(super) key: String,
    #[serde(rename = "UploadId")]
    pub(super) id: String,
    /// When it was begun, as RFC 3339 writes it.
    #[serde(rename = "Initiated")]
    pub(super) begun: String,
}

/// Reads a page of multipart uploads.
///
/// # Errors
/// When the answer is cut off or is something else.
pub(super) fn upload_page(body: &[u8]) -> Result<UploadPage, String> {
    let text = whole(body, "ListMultipartUploadsResult")?;
    de::from_str(text).map_err(|error| error.to_string())
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default, rename = "Code")]
    code: String,
    #[serde(default, rename = "Message")]
    message: String,
}

/// Returns the code of an error's body; empty when it tells none.
pub(super) fn code(body: &[u8]) -> String {
    refusal(body).code
}

/// Says what a refused request was told: the status, the code and the message. The rest of the
/// body may repeat what was signed, and stays out.
pub(super) fn refused(status: StatusCode, body: &[u8]) -> String {
    let refusal = refusal(body);
    let said = said(&refusal.code, &refusal.message);
    if said.is_empty() {
        format!("the server answered {status}")
    } else {
        format!("the server answered {status}: {said}")
    }
}

fn refusal(body: &[u8]) -> Refusal {
    let text = whole(body, "Error").ok();
    text.and_then(|text| de::from_str(text).ok())
        .unwrap_or_default()
}

fn said(code: &str, message: &str) -> String {
    let is_shown = |c: &char| !c.is_control();
    let message: String = message.chars().filter(is_shown).take(200).collect();
    let code: String = code.chars().filter(is_shown).take(60).collect();
    match (code.as_str(), message.as_str()) {
        (code, "") => code.to_owned(),
        ("", message) => message.to_owned(),
        (code, message) => format!("{code} ({message})"),
    }
}

/// Checks that a document is whole and is what was asked for: the parser takes the end of the
/// text for the end of what is open, and does not look at the outermost name.
fn whole<'b>(body: &'b [u8], name: &str) -> Result<&'b str, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let text = text.trim();
    let opens = |text: &str| {
        text.strip_prefix('<')
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with(['>', ' ', '/', '\n', '\r', '\t']))
    };
    let start = match text.strip_prefix("<?xml") {
        Some(rest) => rest.split_once("?>").map_or("", |(_, rest)| rest.trim()),
        None => text,
    };
    if !opens(start) {
        return Err(format!("the answer is no {name}"));
    }
    let is_empty = start.ends_with("/>") && start.matches('<').count() == 1;
    if is_empty || start.ends_with(&format!("</{name}>")) {
        Ok(start)
    } else {
        Err(format!("the answer breaks off before </{name}>"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "<?xml version=\"1.0\"?>\n\
        <DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
        <Deleted><Key>a&amp;b</Key></Deleted>\
        <Error><Key>c</Key><Code>AccessDenied</Code><Message>no</Message></Error>\
        <Deleted><Key>d</Key><DeleteMarker>true</DeleteMarker></Deleted>\
        <Error><Key>e</Key><Code>NoSuchKey</Code></Error>\
        <Error><Key>f</Key><Code>InternalError</Code><Message>try</Message></Error>\
        <Deleted><Key>c</Key></Deleted></DeleteResult>";

    #[test]
    fn reads_what_became_of_each_key() {
        let answers = delete_answer(ANSWER.as_bytes()).expect("an answer");
        assert_eq!(answers["a&b"], Deleted::Removed);
        assert_eq!(answers["c"], Deleted::Failed("AccessDenied (no)".into()));
        assert_eq!(answers["d"], Deleted::Removed);
        assert_eq!(answers["e"], Deleted::NotFound);
        assert!(matches!(answers["f"], Deleted::Unknown(_)));
        assert_eq!(answers.len(), 5);
        for empty in ["<DeleteResult/>", "<DeleteResult></DeleteResult>"] {
            assert!(delete_answer(empty.as_bytes()).expect("empty").is_empty());
        }
    }

    #[test]
    fn an_answer_that_breaks_off_says_nothing() {
        for length in 0..ANSWER.len() {
            assert!(
                delete_answer(&ANSWER.as_bytes()[..length]).is_err(),
                "{length}"
            );
        }
        for other in [
            "",
            "<Error><Code>SlowDown</Code></Error>",
            "<html></html>",
            "\u{0}",
        ] {
            assert!(delete_answer(other.as_bytes()).is_err(), "{other}");
        }
        assert!(delete_answer(&[0xff, 0xfe]).is_err());
    }

    #[test]
    fn asks_for_keys_as_they_are() {
        let keys = ["a<b&c".to_owned(), "d".to_owned()];
        let asked = delete_request(&keys);
        let asked = std::str::from_utf8(&asked).expect("text");
        assert!(asked.contains("<Key>a&lt;b&amp;c</Key>"), "{asked}");
        assert!(
            asked.ends_with("<Object><Key>d</Key></Object></Delete>"),
            "{asked}"
        );
    }

    #[test]
    fn tells_no_more_of_a_refusal_than_code_and_message() {
        let body = "<Error><Code>SignatureDoesNotMatch</Code><Message>not\u{7} ours</Message>\
                    <StringToSign>secret</StringToSign></Error>";
        let told = refused(StatusCode::FORBIDDEN, body.as_bytes());
        let expected = "the server answered 403 Forbidden: SignatureDoesNotMatch (not ours)";
        assert_eq!(told, expected);
        assert_eq!(code(body.as_bytes()), "SignatureDoesNotMatch");
        let told = refused(StatusCode::BAD_GATEWAY, b"<html>oops");
        assert_eq!(told, "the server answered 502 Bad Gateway");
    }
}
