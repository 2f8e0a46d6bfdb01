//! The tokens of an answer, as services report them: `usage` of a body → [`Usage`], or `None` where it says nothing
//! that can be believed. Then they are estimated.
//!
//! | names | prompt | completion |
//! |---|---|---|
//! | OpenAI | `prompt_tokens`, cached ones among them | `completion_tokens`, reasoning among them |
//! | Anthropic | `input_tokens` + `cache_read_input_tokens` + `cache_creation_input_tokens` | `output_tokens` |
//! | Ollama | `prompt_eval_count` | `eval_count` |
//! | Gemini | `promptTokenCount` | `candidatesTokenCount` + `thoughtsTokenCount` |
//!
//! What `total_tokens` has beyond the two is thought that a service leaves out of `completion_tokens` (Gemini, Grok):
//! it is paid as completion. Cached tokens count in full: a cap is held from above.

use serde_json::Value;

use super::super::answer::Usage;

/// A number that no answer can have taken would spoil all sums.
const MAX: f64 = (1u64 << 32) as f64;

/// Of a whole body: from `usage`, or from the body itself where a service writes it there.
pub(super) fn usage(body: &Value) -> Option<Usage> {
    let of = |place: &Value| {
        let tokens = |names: &[&str]| names.iter().find_map(|name| count(&place[*name]));
        let sum = |names: &[&str]| names.iter().filter_map(|n| count(&place[*n])).sum::<u64>();
        let prompt =
            tokens(&["prompt_tokens", "prompt_eval_count", "promptTokenCount"]).or_else(|| {
                let cached = sum(&["cache_read_input_tokens", "cache_creation_input_tokens"]);
                Some(tokens(&["input_tokens"])? + cached)
            })?;
        let completion = tokens(&["completion_tokens", "output_tokens", "eval_count"]);
        let completion = completion.or_else(|| {
            let said = tokens(&["candidatesTokenCount"])?;
            Some(said + tokens(&["thoughtsTokenCount"]).unwrap_or(0))
        });
        let total = tokens(&["total_tokens", "totalTokenCount"]);
        let beyond = total.and_then(|total| total.checked_sub(prompt));
        let completion_tokens = match (completion, beyond) {
            (Some(said), Some(beyond)) => said.max(beyond),
            (said, beyond) => said.or(beyond)?,
        };
        let usage = Usage {
            prompt_tokens: prompt,
            completion_tokens,
        };
        // A question is never without a token; zeros are what a gateway writes that does not know.
        (usage.prompt_tokens > 0).then_some(usage)
    };
    let places = [&body["usage"], &body["usageMetadata"], body];
    places.into_iter().find_map(of)
}

/// A whole number, or one that is written as a float or as a text.
fn count(value: &Value) -> Option<u64> {
    let n = match value {
        Value::Number(n) => n.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (0.0..MAX).contains(&n).then(|| n.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_are_read_under_every_name_and_believed_within_reason() {
        for (body, expected) in [
            (
                json!({"usage": {"prompt_tokens": 10, "completion_tokens": 5}}),
                Some((10, 5)),
            ),
            (
                json!({"usage": {"prompt_tokens": 10.0, "completion_tokens": 4.2}}),
                Some((10, 5)),
            ),
            (
                json!({"usage": {"prompt_tokens": "10", "completion_tokens": " 5 "}}),
                Some((10, 5)),
            ),
            // Cached ones are among OpenAI's, and beside Anthropic's.
            (
                json!({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 8}}}),
                Some((10, 5)),
            ),
            (
                json!({"usage": {"input_tokens": 2, "cache_read_input_tokens": 8, "output_tokens": 5}}),
                Some((10, 5)),
            ),
            // Thoughts that completion_tokens leaves out.
            (
                json!({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115}}),
                Some((10, 105)),
            ),
            (
                json!({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 0}}),
                Some((10, 5)),
            ),
            (
                json!({"usage": {"prompt_tokens": 10, "total_tokens": 15}}),
                Some((10, 5)),
            ),
            (
                json!({"message": {}, "prompt_eval_count": 10, "eval_count": 5}),
                Some((10, 5)),
            ),
            (
                json!({"usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 2, "thoughtsTokenCount": 3}}),
                Some((10, 5)),
            ),
            (json!({"usage": null}), None),
            (json!({}), None),
            (
                json!({"usage": {"prompt_tokens": 0, "completion_tokens": 0}}),
                None,
            ),
            (
                json!({"usage": {"prompt_tokens": -1, "completion_tokens": 5}}),
                None,
            ),
            (
                json!({"usage": {"prompt_tokens": 1e18, "completion_tokens": 5}}),
                None,
            ),
            (
                json!({"usage": {"prompt_tokens": "ten", "completion_tokens": 5}}),
                None,
            ),
            (json!({"usage": {"total_tokens": 15}}), None),
        ] {
            let read = usage(&body).map(|u| (u.prompt_tokens, u.completion_tokens));
            assert_eq!(read, expected, "{body}");
        }
    }
}
