//! What a model said after it had thought: text with blocks of thought in it → what stands behind the last one.
//!
//! Blocks are `<think>…</think>` and its likes, and the channels of gpt-oss (harmony). A closing tag alone ends a
//! block whose opening tag stood in the prompt; a block that is never closed is thought that was cut off. A draft
//! within a block is no answer.

/// Tags by which models enclose what they think.
const TAGS: [(&str, &str); 8] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
    ("[THINK]", "[/THINK]"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
];

/// What stands behind all thought; `None`: it ended while the model was thinking.
///
/// ```
/// use hkfr_fuse::after_thinking;
///
/// assert_eq!(after_thinking("<think>{\"draft\": 1}</think>\n{}"), Some("{}"));
/// // The opening tag stood in the prompt.
/// assert_eq!(after_thinking("Let me see.</think>{}"), Some("{}"));
/// assert_eq!(after_thinking("<think>Let me see. {}"), None);
/// assert_eq!(after_thinking("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>{}"), Some("{}"));
/// ```
pub fn after_thinking(text: &str) -> Option<&str> {
    let text = text.trim();
    // One whole JSON value holds no block, whatever its texts say.
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        return Some(text);
    }
    if let Some(said) = final_channel(text) {
        return said;
    }
    let closed = TAGS
        .iter()
        .filter_map(|(_, close)| Some(find_last(text, close)? + close.len()));
    let rest = &text[closed.max().unwrap_or(0)..];
    let opened = TAGS.iter().filter_map(|(open, _)| find(rest, open));
    match opened.min() {
        None => Some(rest.trim()),
        // What was said before the block counts.
        Some(at) => Some(rest[..at].trim()).filter(|said| !said.is_empty()),
    }
}

/// Harmony, with its special tokens or (as servers that strip them leave it) without.
fn final_channel(text: &str) -> Option<Option<&str>> {
    const CHANNEL: &str = "<|channel|>";
    const MESSAGE: &str = "<|message|>";
    if text.contains(CHANNEL) {
        let heads = text
            .match_indices(CHANNEL)
            .map(|(at, _)| &text[at + CHANNEL.len()..]);
        let of_final = heads.filter(|rest| rest.trim_start().starts_with("final"));
        let said = of_final.last().map(|rest| {
            let said = rest.split_once(MESSAGE).map_or("", |(_, said)| said);
            let ends = ["<|return|>", "<|end|>", "<|start|>", "<|call|>"].map(|end| said.find(end));
            said[..ends.into_iter().flatten().min().unwrap_or(said.len())].trim()
        });
        return Some(said);
    }
    let stripped = text
        .starts_with("analysis")
        .then(|| text.rsplit_once("assistantfinal"));
    stripped.flatten().map(|(_, said)| Some(said.trim()))
}

/// Tags are found in any case.
fn find(text: &str, tag: &str) -> Option<usize> {
    starts(text).find(|&at| begins(&text[at..], tag))
}

fn find_last(text: &str, tag: &str) -> Option<usize> {
    starts(text).rfind(|&at| begins(&text[at..], tag))
}

fn starts(text: &str) -> impl DoubleEndedIterator<Item = usize> {
    text.match_indices(['<', '[', '◁']).map(|(at, _)| at)
}

fn begins(text: &str, tag: &str) -> bool {
    text.get(..tag.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_after_the_last_block_counts() {
        let json = r#"{"claims": [], "text": "x"}"#;
        for (open, close) in TAGS {
            for (said, answer) in [
                (format!("{open}draft {json}{close}\n\n{json}"), Some(json)),
                (format!("draft {json}{close}{json}"), Some(json)),
                (
                    format!("{open}a{close}{open}b {{}}{close}{json}"),
                    Some(json),
                ),
                (format!("{open}a{close}"), Some("")),
                (format!("{open}draft {json}"), None),
                (format!("{json}{open}and on"), Some(json)),
                (format!("{}{close}{json}", open.to_uppercase()), Some(json)),
            ] {
                assert_eq!(after_thinking(&said), answer, "{said}");
            }
        }
        // A title may look like a tag.
        let titled = r#"{"claims": [], "text": "Bought </think> twice."}"#;
        assert_eq!(after_thinking(titled), Some(titled));
        assert_eq!(
            after_thinking("  They like <milk>. "),
            Some("They like <milk>.")
        );
    }

    #[test]
    fn the_final_channel_of_harmony_counts() {
        let analysis = "<|channel|>analysis<|message|>draft {}<|end|>";
        for (said, answer) in [
            (
                format!(
                    "{analysis}<|start|>assistant<|channel|>final<|message|>{{\"a\": 1}}<|return|>"
                ),
                Some("{\"a\": 1}"),
            ),
            (
                format!(
                    "{analysis}<|start|>assistant<|channel|>final <|constrain|>json<|message|>{{}}"
                ),
                Some("{}"),
            ),
            (analysis.to_owned(), None),
            (
                "analysisWe think. {}assistantfinal{\"a\": 1}".to_owned(),
                Some("{\"a\": 1}"),
            ),
        ] {
            assert_eq!(after_thinking(&said), answer, "{said}");
        }
    }
}
