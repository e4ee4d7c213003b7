//! Quay's settings that are times: read in Quay's units, and never shortened by a mistake.

use std::time::Duration;

use super::{quay::refused, *};

fn registry(text: &str) -> crate::config::Registry {
    Setup::new().quay(text).load().registry
}

#[test]
fn the_window_of_expired_tokens_has_quays_units_and_may_be_off() {
    let window = |text: &str| registry(text).expired_app_specific_token_gc;
    let days = |days: u64| Some(Duration::from_hours(24 * days));
    assert_eq!(window("OTHER: 1\n"), days(1), "absent is Quay's default");
    assert_eq!(window("EXPIRED_APP_SPECIFIC_TOKEN_GC: 3d\n"), days(3));
    assert_eq!(window("EXPIRED_APP_SPECIFIC_TOKEN_GC: 2w\n"), days(14));
    assert_eq!(window("EXPIRED_APP_SPECIFIC_TOKEN_GC: null\n"), None);
    for wrong in ["1y", "tomorrow", "60", "false"] {
        let line = format!("EXPIRED_APP_SPECIFIC_TOKEN_GC: {wrong}\n");
        refused(&line, "EXPIRED_APP_SPECIFIC_TOKEN_GC");
    }
}

#[test]
fn the_age_of_an_upload_is_in_minutes() {
    let window = |text: &str| registry(text).blobupload_deletion_date_threshold;
    assert_eq!(window("OTHER: 1\n"), Duration::from_hours(48));
    let line = "BLOBUPLOAD_DELETION_DATE_THRESHOLD: 90\n";
    assert_eq!(window(line), Duration::from_mins(90));
    for wrong in ["-5", "1.5", "'2880'", "~", "2d"] {
        let line = format!("BLOBUPLOAD_DELETION_DATE_THRESHOLD: {wrong}\n");
        refused(&line, "BLOBUPLOAD_DELETION_DATE_THRESHOLD");
    }
    refused("BLOBUPLOAD_DELETION_DATE_THRESHOLD: 0\n", "above 0");
}
