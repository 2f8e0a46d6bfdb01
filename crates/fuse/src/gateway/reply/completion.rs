//! The body of a chat completion → the answer, wherever a service puts it.
//!
//! The first of these that says anything is the text, and its [`Place`] is kept beside it: `message.content` (a text, a
//! list of parts, or an object), `choices[0].text`, Ollama's `message` and `response`, Anthropic's `content`;
//! `message.parsed`; the arguments of a tool call; what the model thought (`reasoning_content`, `reasoning`,
//! `thinking`); a refusal. A message that holds none of them is an answer that says nothing: it is paid, and no other
//! answer comes of asking again.

use serde_json::Value;

use super::finish::Finish;
use super::place::Place;
use super::usage::usage;
use crate::gateway::answer::ChatAnswer;

/// # Errors
/// What is missing, of a body without any message.
pub(crate) fn completion(body: &Value) -> Result<ChatAnswer, &'static str> {
    let choices = body["choices"].as_array();
    let choice = choices.and_then(|choices| {
        let first = choices.iter().find(|c| c["index"] == 0);
        first.or(choices.first())
    });
    let nothing = Value::Null;
    let choice = choice.unwrap_or(&nothing);
    let messages = [&choice["message"], &choice["delta"], &body["message"]];
    let message = messages.into_iter().find(|m| m.is_object());
    let bare = [&choice["text"], &body["response"], &body["content"]];
    if message.is_none() && bare.iter().all(|text| text.is_null()) {
        return Err("the answer has no choices[0].message.content");
    }
    let message = message.unwrap_or(&nothing);

    let mut said = Said::default();
    for content in [&message["content"]].into_iter().chain(bare) {
        said.content(content);
    }
    let thoughts = ["reasoning_content", "reasoning", "thinking"];
    for key in thoughts {
        for place in [message, choice] {
            said.thought(&place[key]);
        }
    }
    said.thought(&message["reasoning_details"]);
    said.add(Place::Parsed, json_text(&message["parsed"]));
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    let arguments = calls.map(|call| &call["function"]["arguments"]);
    for arguments in arguments.chain([&message["function_call"]["arguments"]]) {
        said.add(Place::ToolCall, json_text(arguments));
    }
    said.add(Place::Refusal, json_text(&message["refusal"]));

    let reasons = [
        &choice["finish_reason"],
        &body["done_reason"],
        &body["stop_reason"],
        &choice["native_finish_reason"],
    ];
    let finish = reasons.into_iter().map(Finish::of);
    let mut finish = finish.fold(Finish::Stop, |found, next| match found {
        Finish::Stop => next,
        found => found,
    });
    let thinking_bytes = said.thinking.len() as u64;
    let (place, text) = said.first();
    if place == Place::Refusal {
        finish = Finish::Filtered;
    }
    Ok(ChatAnswer {
        thinking_bytes: if place == Place::Reasoning {
            0
        } else {
            thinking_bytes
        },
        text,
        usage: usage(body),
        model: body["model"].as_str().map(str::to_owned),
        place,
        finish,
    })
}

/// What a message says, by place.
#[derive(Default)]
struct Said {
    content: String,
    thinking: String,
    others: Vec<(Place, String)>,
}

impl Said {
    /// A text, a list of parts, or an object that is the answer itself.
    fn content(&mut self, content: &Value) {
        match content {
            // Only where nothing was said before: a gateway may say the same in two places.
            _ if !self.content.trim().is_empty() => {}
            Value::String(text) => self.content.push_str(text),
            Value::Array(parts) => parts.iter().for_each(|part| self.part(part)),
            Value::Object(_) => self.content.push_str(&content.to_string()),
            _ => {}
        }
    }

    fn part(&mut self, part: &Value) {
        let kind = part["type"].as_str().unwrap_or("text");
        let text = [&part["text"], &part["text"]["value"], &part["content"]];
        let text = text.into_iter().find_map(Value::as_str);
        match (part, kind) {
            (Value::String(text), _) => self.content.push_str(text),
            (_, "text" | "output_text") => self.content.push_str(text.unwrap_or("")),
            (_, "thinking" | "reasoning" | "redacted_thinking") => {
                self.thought(&part["thinking"]);
                self.thinking.push_str(text.unwrap_or(""));
            }
            (_, "refusal") => self.add(Place::Refusal, json_text(&part["refusal"])),
            (_, "tool_use") => self.add(Place::ToolCall, json_text(&part["input"])),
            (_, "json" | "output_json") => self.content.push_str(&json_text(&part["json"])),
            _ => {}
        }
    }

    /// A text, or a list of parts with texts.
    fn thought(&mut self, thought: &Value) {
        match thought {
            Value::String(text) if !self.thinking.contains(text.as_str()) => {
                self.thinking.push_str(text)
            }
            Value::Array(parts) => {
                for part in parts {
                    for key in ["text", "thinking", "content", "summary"] {
                        self.thought(&part[key]);
                    }
                }
            }
            Value::Object(_) => self.thought(&thought["content"]),
            _ => {}
        }
    }

    fn add(&mut self, place: Place, text: String) {
        self.others.push((place, text));
    }

    fn first(self) -> (Place, String) {
        let order = |place: Place| match place {
            Place::Parsed => 0,
            Place::ToolCall => 1,
            _ => 3,
        };
        let mut all = vec![(2, Place::Reasoning, self.thinking)];
        all.extend(
            self.others
                .into_iter()
                .map(|(place, text)| (order(place), place, text)),
        );
        all.sort_by_key(|(order, ..)| *order);
        let all = all.into_iter().map(|(_, place, text)| (place, text));
        let all = std::iter::once((Place::Content, self.content)).chain(all);
        let said = all.map(|(place, text)| (place, text.trim().to_owned()));
        let mut said = said.filter(|(_, text)| !text.is_empty());
        said.next().unwrap_or((Place::Nothing, String::new()))
    }
}

/// A text as it is, other values as JSON, null as nothing.
fn json_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
