//! What a service sent → the claims in it, in JSON; or why there are none.

use super::counts::GateCounts;
use super::repair::repair;
use super::schema::{Answer, validate};
use super::unusable::{Fault, Unusable};
use crate::gateway::{ChatAnswer, Finish, Place};

/// What a model thought counts only if it is an answer as a whole: a draft among thoughts is none.
pub(super) fn read(answer: &ChatAnswer, counts: &mut GateCounts) -> Result<Answer, Fault> {
    let (place, said) = answer.said();
    if place == Place::Reasoning
        && let Some(found) = whole(said)
    {
        counts.from_reasoning += 1;
        return Ok(found);
    }
    if let Some(fault) = Fault::of_silence(answer) {
        return Err(fault);
    }
    mended(said, counts).map_err(|problem| match answer.finish {
        Finish::Filtered => {
            let problem =
                format!("the service withheld the rest (finish_reason content_filter): {problem}");
            Fault::new(answer, Unusable::Refused, problem)
        }
        Finish::Length => {
            let problem =
                format!("it ended at its limit of tokens (finish_reason length): {problem}");
            Fault::new(answer, Unusable::Form, problem)
        }
        _ => Fault::new(answer, Unusable::Form, problem),
    })
}

/// A JSON object and nothing else, but for a code fence around it.
fn whole(said: &str) -> Option<Answer> {
    let said = said.trim();
    let said = said
        .strip_prefix("```json")
        .or(said.strip_prefix("```"))
        .unwrap_or(said);
    let said = said.strip_suffix("```").unwrap_or(said);
    validate(&serde_json::from_str(said).ok()?).ok()
}

fn mended(said: &str, counts: &mut GateCounts) -> Result<Answer, String> {
    let Some(mut repaired) = repair(said) else {
        return Err("it holds no JSON object with claims and text".into());
    };
    // Claims that are whole stand by themselves; the text comes after them and may be missing.
    if repaired.cut_off
        && let Some(map) = repaired.value.as_object_mut()
        && map.contains_key("claims")
    {
        map.entry("text").or_insert_with(|| "".into());
    }
    let answer = validate(&repaired.value)?;
    counts.repairs += u32::from(repaired.mended);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"claims": [], "text": "Buys milk."}"#;

    #[test]
    fn an_answer_among_thoughts_counts_if_it_is_one_as_a_whole() {
        let thoughts = |text: &str, finish| ChatAnswer {
            text: text.into(),
            place: Place::Reasoning,
            finish,
            ..ChatAnswer::default()
        };
        let mut counts = GateCounts::default();
        for text in [GOOD.to_owned(), format!("```json\n{GOOD}\n```")] {
            read(&thoughts(&text, Finish::Stop), &mut counts).unwrap();
        }
        assert_eq!(counts.from_reasoning, 2);
        let mut kind =
            |text: &str, finish| read(&thoughts(text, finish), &mut counts).unwrap_err().kind;
        let draft = format!("A draft: {GOOD} No, wait.");
        assert_eq!(kind(&draft, Finish::Stop), Unusable::Empty);
        assert_eq!(
            kind("thinking thinking", Finish::Length),
            Unusable::Thinking
        );
    }

    #[test]
    fn each_silence_says_what_happened() {
        for (place, finish, kind) in [
            (Place::Nothing, Finish::Stop, Unusable::Empty),
            (Place::Nothing, Finish::Length, Unusable::Thinking),
            (Place::Nothing, Finish::Filtered, Unusable::Refused),
            (Place::Refusal, Finish::Filtered, Unusable::Refused),
            (Place::Content, Finish::Stop, Unusable::Form),
            (Place::Content, Finish::Length, Unusable::Form),
        ] {
            let answer = ChatAnswer {
                text: match place {
                    Place::Nothing => String::new(),
                    _ => "Write to\u{1b} ann@example.org".into(),
                },
                place,
                finish,
                ..ChatAnswer::default()
            };
            let fault = read(&answer, &mut GateCounts::default()).unwrap_err();
            assert_eq!(fault.kind, kind, "{place:?} {finish:?}: {}", fault.problem);
            assert!(!fault.sent.contains(['\u{1b}', '@']), "{}", fault.sent);
        }
        // Thought that is cut off in the text is thought.
        let answer = ChatAnswer {
            text: format!("<think>A draft: {GOOD}"),
            finish: Finish::Length,
            ..ChatAnswer::default()
        };
        let fault = read(&answer, &mut GateCounts::default()).unwrap_err();
        assert_eq!(fault.kind, Unusable::Thinking);
    }
}
