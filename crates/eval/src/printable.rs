//! Text from anyone's file for a terminal.

/// The text with control characters made visible, but for line breaks and tabs: an escape sequence in an id must
/// not act on the terminal that a message is printed to.
///
/// ```
/// assert_eq!(hkfr_eval::printable("a\u{1b}[31mb\r\n"), "a\u{fffd}[31mb\u{fffd}\n");
/// ```
pub fn printable(text: &str) -> String {
    let show = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(show).collect()
}
