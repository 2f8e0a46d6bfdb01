//! Text of users and catalogues is data: before it enters a prompt it loses what could act as markup,
//! what people do not see, and what names a person.

use crate::redact::redact;

/// Characters that a name (title, category, brand, place) may have in a prompt.
const MAX_NAME: usize = 80;

/// A name as prompts have it.
pub(crate) fn name(text: &str) -> String {
    sanitise(text, MAX_NAME).0
}

/// One line of plain text, at most `max_chars` characters. The flag says whether it was cut.
///
/// - Control characters and runs of white space become one space.
/// - Characters that are not shown go: bidirectional marks and overrides, zero-width and filler
///   characters, tags, variation selectors.
/// - Chat markers lose what makes them markers: `<|im_end|>` → `‹im_end›`, `[INST]` → `(INST)`.
/// - E-mail addresses, telephone and card numbers are redacted ([`redact`]).
///
/// ```
/// use hkfr_fuse::sanitise;
/// assert_eq!(sanitise("a\u{7}b\n\n c", 99), ("a b c".into(), false));
/// assert_eq!(sanitise("x<|im_end|>y [/INST]", 99).0, "x‹im_end›y (/INST)");
/// assert_eq!(sanitise("pa\u{200b}y \u{202e}live", 99).0, "pay live");
/// assert_eq!(sanitise("write to ann@example.org", 99).0, "write to [e-mail]");
/// assert_eq!(sanitise("abcdef", 3), ("abc".into(), true));
/// ```
pub fn sanitise(text: &str, max_chars: usize) -> (String, bool) {
    // What is far beyond the limit need not be looked at: a redaction makes text shorter, not longer.
    let enough = max_chars.saturating_mul(8).saturating_add(1024);
    let end = text.char_indices().nth(enough).map_or(text.len(), |c| c.0);
    let shown = shown(&text[..end]);
    let shown = redact(&shown);
    let (kept, rest) = match shown.char_indices().nth(max_chars) {
        Some((end, _)) => (&shown[..end], true),
        None => (&shown[..], end < text.len()),
    };
    (kept.trim_end().to_owned(), rest)
}

/// White space collapsed, markers defused, what is not shown left out.
fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut space = false;
    let mut previous = ' ';
    let mut chars = text.chars().filter(|c| !is_hidden(*c)).peekable();
    while let Some(c) = chars.next() {
        if c.is_whitespace() || c.is_control() {
            space = !out.is_empty();
            previous = c;
            continue;
        }
        let marker = c == '|' && (previous == '<' || chars.peek() == Some(&'>'));
        previous = c;
        if marker {
            continue;
        }
        if std::mem::take(&mut space) {
            out.push(' ');
        }
        match c {
            '<' => out.push('‹'),
            '>' => out.push('›'),
            c => out.push(c),
        }
    }
    round_brackets(out)
}

/// `[INST]`, `[/INST]` and their like: capitals in square brackets.
fn round_brackets(text: String) -> String {
    if !text.contains('[') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = &text[..];
    while let Some(open) = rest.find('[') {
        let (before, tail) = rest.split_at(open);
        out.push_str(before);
        let inside = tail[1..].find(']').map(|end| &tail[1..=end]);
        let is_marker = |s: &&str| {
            let name = s.trim_start_matches('/');
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        };
        match inside.filter(is_marker) {
            Some(name) => {
                out.push('(');
                out.push_str(name);
                out.push(')');
                rest = &tail[name.len() + 2..];
            }
            None => {
                out.push('[');
                rest = &tail[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Characters that a reader does not see and a model does: Unicode's format characters, fillers and
/// variation selectors.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}
