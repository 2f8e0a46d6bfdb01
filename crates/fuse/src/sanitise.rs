//! Text of users and catalogues is data: before it enters a prompt it loses what could act as markup.

/// Control characters and runs of white space become one space, chat markers `<|…|>` lose their bars
/// (`<|im_end|>` → `<im_end>`), and the text is cut to `max_chars`. The flag says whether it was cut.
///
/// ```
/// use hkfr_fuse::sanitise;
/// assert_eq!(sanitise("a\u{7}b\n\n c", 99), ("a b c".into(), false));
/// assert_eq!(sanitise("x<|im_end|>y", 99).0, "x<im_end>y");
/// assert_eq!(sanitise("abcdef", 3), ("abc".into(), true));
/// ```
pub fn sanitise(text: &str, max_chars: usize) -> (String, bool) {
    let mut out = String::with_capacity(text.len().min(4 * max_chars));
    let mut n = 0;
    let mut space = false;
    let mut previous = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_whitespace() || c.is_control() {
            space = n > 0;
            previous = c;
            continue;
        }
        let marker = c == '|' && (previous == '<' || chars.peek() == Some(&'>'));
        previous = c;
        if marker {
            continue;
        }
        if n + usize::from(space) >= max_chars {
            return (out, true);
        }
        if space {
            out.push(' ');
            n += 1;
            space = false;
        }
        out.push(c);
        n += 1;
    }
    (out, false)
}
