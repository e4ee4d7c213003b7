//! Owns what YAML 1.1 makes of a word without quotes, as Quay's parser does: `yes` and `on` are
//! true there.

use super::yaml::Node;

/// Finds out what an unquoted word means.
///
/// What YAML 1.1 reads in a way few people expect (`010` is 8, `1:30` is 90, `2020-01-01` is a
/// date) becomes [`Node::Odd`]: an error wherever it matters.
pub(super) fn resolve(word: &str) -> Node {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => return Node::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Node::Bool(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Node::Bool(false);
        }
        _ => {}
    }
    if is_decimal(word) {
        return word
            .parse()
            .map_or_else(|_| odd("a number that is too large"), Node::Int);
    }
    if is_float(word) {
        return word
            .replace('_', "")
            .parse()
            .map_or_else(|_| odd("an odd number"), Node::Float);
    }
    if is_odd_number(word) {
        return odd("a number in a form that YAML 1.1 reads unexpectedly");
    }
    if is_date(word) {
        return odd("a date");
    }
    Node::Text(word.to_owned())
}

fn odd(what: &str) -> Node {
    Node::Odd(format!("is {what}; put it in quotes if a text is meant"))
}

/// Takes a sign away.
fn unsigned(word: &str) -> &str {
    word.strip_prefix(['-', '+']).unwrap_or(word)
}

/// Says whether a text consists of one or more of these characters.
fn made_of(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(allowed)
}

fn digits(text: &str) -> bool {
    made_of(text, |character| character.is_ascii_digit())
}

fn digits_or_underscores(text: &str) -> bool {
    made_of(text, |character| {
        character.is_ascii_digit() || character == '_'
    })
}

/// `0`, `12`, `-7`: digits without a leading zero.
fn is_decimal(word: &str) -> bool {
    let number = unsigned(word);
    digits(number) && (number == "0" || !number.starts_with('0'))
}

/// `1.5`, `.5`, `1.`, `1.5e+3`: a point is needed, and a sign in the exponent.
fn is_float(word: &str) -> bool {
    let Some((whole, rest)) = unsigned(word).split_once('.') else {
        return false;
    };
    let (fraction, exponent) = rest
        .split_once(['e', 'E'])
        .map_or((rest, None), |(f, e)| (f, Some(e)));
    let starts_well = whole.starts_with(|c: char| c.is_ascii_digit())
        || (whole.is_empty() && fraction.starts_with(|c: char| c.is_ascii_digit()));
    starts_well
        && (whole.is_empty() || digits_or_underscores(whole))
        && (fraction.is_empty() || digits_or_underscores(fraction))
        && exponent.is_none_or(|e| e.starts_with(['-', '+']) && digits(&e[1..]))
}

/// Binary, octal, hexadecimal, base 60, with underscores, infinite, not a number.
fn is_odd_number(word: &str) -> bool {
    let number = unsigned(word);
    let based = |prefix, allowed: fn(char) -> bool| {
        number
            .strip_prefix(prefix)
            .is_some_and(|rest| made_of(rest, |c| c == '_' || allowed(c)))
    };
    let (sixties, fraction) = number
        .split_once('.')
        .map_or((number, ""), |(n, fraction)| (n, fraction));
    let mut groups = sixties.split(':');
    let base_60 = groups
        .next()
        .is_some_and(|first| digits_or_underscores(first) && !first.starts_with('_'))
        && sixties.contains(':')
        && groups.all(|group| group.len() <= 2 && digits(group))
        && (fraction.is_empty() || digits_or_underscores(fraction));
    let underscored =
        number.starts_with(|c: char| matches!(c, '1'..='9')) && digits_or_underscores(number);
    based("0b", |c| matches!(c, '0' | '1'))
        || based("0x", |c| c.is_ascii_hexdigit())
        || based("0", |c| matches!(c, '0'..='7'))
        || base_60
        || underscored
        || matches!(number, ".inf" | ".Inf" | ".INF")
        || matches!(word, ".nan" | ".NaN" | ".NAN")
}

/// `2020-01-01` and everything that begins like it and goes on with a time.
fn is_date(word: &str) -> bool {
    let (date, time) = word.find(['T', 't', ' ', '\t']).map_or((word, None), |at| {
        let (date, time) = word.split_at(at);
        (date, Some(time))
    });
    let parts: Vec<_> = date.split('-').collect();
    let [year, month, day] = parts[..] else {
        return false;
    };
    let short = |part: &str| part.len() <= 2 && digits(part);
    year.len() == 4
        && digits(year)
        && short(month)
        && short(day)
        && time.is_none_or(|time| time.trim_start().contains(':'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_spelling_of_a_boolean() {
        for word in [
            "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON",
        ] {
            assert_eq!(resolve(word), Node::Bool(true), "{word}");
        }
        for word in [
            "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF",
        ] {
            assert_eq!(resolve(word), Node::Bool(false), "{word}");
        }
        for word in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(resolve(word), Node::Null, "{word}");
        }
    }

    #[test]
    fn leaves_text_alone() {
        for word in [
            "y",
            "n",
            "yEs",
            "maybe",
            "localhost",
            "10.0.0.1",
            "2w",
            "1234abcd",
            "1e5",
            "0x",
            "0b2",
            "09",
            "1:",
            "a:1",
            "db:5432",
            "_1",
            "-",
            "+",
            ".",
            "1.2.3",
            "1.5e3",
            "2020-01",
            "12-34-56",
            "0.0.0.0",
            "/a/b",
            "1:99:a",
        ] {
            assert_eq!(resolve(word), Node::Text(word.to_owned()), "{word}");
        }
    }

    #[test]
    fn reads_plain_numbers() {
        assert_eq!(resolve("0"), Node::Int(0));
        assert_eq!(resolve("-6379"), Node::Int(-6379));
        assert_eq!(resolve("+5"), Node::Int(5));
        assert_eq!(resolve("1.5"), Node::Float(1.5));
        assert_eq!(resolve("-.5"), Node::Float(-0.5));
        assert_eq!(resolve("1_0.5e+1"), Node::Float(105.0));
    }

    #[test]
    fn refuses_to_guess_at_odd_forms() {
        for word in [
            "010",
            "0_7",
            "0x1F",
            "0b11",
            "1_000",
            "1:30",
            "190:20:30",
            "190:20:30.15",
            ".inf",
            "-.INF",
            ".nan",
            "2020-01-01",
            "2001-12-14t21:59:43.10-05:00",
            "2001-1-1 1:01:01",
            "99999999999999999999",
        ] {
            assert!(matches!(resolve(word), Node::Odd(_)), "{word}");
        }
    }

    proptest! {
        #[test]
        fn no_word_panics(word in prop_oneof![any::<String>(), "[-+0-9a-fxTt:_.e ]{0,12}"]) {
            let _ = resolve(&word);
        }
    }
}
