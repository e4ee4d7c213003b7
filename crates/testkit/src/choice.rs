//! What the environment chooses of a long run.
use std::env;

/// Reads a list of words, separated by commas, from the environment; empty when there is none.
pub fn chosen_words(variable: &str) -> Vec<String> {
    words(&env::var(variable).unwrap_or_default())
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(',').map(str::trim);
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_between_commas() {
        assert_eq!(words(" a b,, c "), ["a b", "c"]);
        assert!(words(" ,").is_empty());
    }
}
