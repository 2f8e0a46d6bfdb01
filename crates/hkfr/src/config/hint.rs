//! The nearest word that is known, for messages.

/// What serde says of the keys of `owner` (`adapter "x"`) → the key at fault (empty if unknown),
/// and the reason.
pub(super) fn option_error(message: &str, owner: &str) -> (String, String) {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let typed = quoted.next().unwrap_or("").to_owned();
    if message.starts_with("unknown field") {
        let hint = nearest(&typed, quoted);
        let reason = format!("no key of {owner}{hint}");
        return (typed, reason);
    }
    (String::new(), message.trim().to_owned())
}

/// `; did you mean "…"?`, or nothing where no known word is near.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .map(|k| (strsim::damerau_levenshtein(word, k), k))
        .min()
        .filter(|(distance, k)| *distance <= 1 + word.len().min(k.len()) / 3)
        .map(|(_, k)| format!("; did you mean \"{k}\"?"))
        .unwrap_or_default()
}
