//! A chat as tokens: those of `apply_chat_template` in `transformers`, but no text of a message ever
//! becomes a special token.
//!
//! The template is rendered with a placeholder for each content; what lies around the placeholders
//! is the template's and may hold special tokens, what they stand for is plain text. Text and content
//! between two special tokens are encoded together, since a token may reach across their seam.
//!
//! A placeholder occurs in no content, so none can be forged. The space around a content stays
//! outside of its placeholder: a template may trim it. What else a template does to a content
//! cannot be followed, and is an error.

use crate::chat::{ChatOptions, ChatTemplate, Message, SpecialToken};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// The end of a placeholder, after the number of its message.
const CLOSE: char = '\u{E002}';

impl ChatTemplate {
    /// The chat as tokens; special tokens come from the template alone.
    ///
    /// # Errors
    /// If the template refuses the messages, leaves a content out or changes more of it than the
    /// space around it, or a role holds a special token.
    pub fn encode(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
        options: &ChatOptions,
    ) -> Result<Vec<u32>> {
        for (i, message) in messages.iter().enumerate() {
            if let Some(s) = self.special.iter().find(|s| message.role.contains(&s.text)) {
                return Err(Error::Config(format!(
                    "the role of message {i} holds the special token {:?}: use a role such as \"user\"",
                    s.text
                )));
            }
        }
        let stem = self.stem(messages, options);
        let marked: Vec<Message> = messages
            .iter()
            .enumerate()
            .map(|(i, m)| {
                let core = m.content.trim();
                let (before, after) = match core {
                    "" => return m.clone(),
                    core => m
                        .content
                        .split_once(core)
                        .expect("a trimmed text is part of it"),
                };
                Message::new(&*m.role, format!("{before}{stem}{i}{CLOSE}{after}"))
            })
            .collect();
        let rendered = self.render(&marked, options)?;

        let mut parts = rendered.split(&stem);
        let mut runs = Runs::new(tokenizer, &self.special);
        let mut text = parts.next().unwrap_or_default().to_owned();
        runs.template(&text);
        let mut told = vec![false; messages.len()];
        for part in parts {
            let (content, after) = part
                .split_once(CLOSE)
                .and_then(|(i, after)| Some((i.parse::<usize>().ok()?, after)))
                .filter(|(i, _)| *i < messages.len())
                .ok_or_else(|| changed("cuts a content"))?;
            told[content] = true;
            let core = messages[content].content.trim();
            runs.plain(core);
            runs.template(after);
            text.push_str(core);
            text.push_str(after);
        }
        let missing = |(i, m): &(usize, &Message)| !told[*i] && !m.content.trim().is_empty();
        if let Some((i, m)) = messages.iter().enumerate().find(missing) {
            return Err(changed(&format!(
                "leaves out or changes the content of message {i} ({})",
                m.role
            )));
        }
        // The same chat without placeholders: any other difference is a change of a content, such as
        // by `replace`, or a decision that hangs on one.
        if self.render(messages, options)? != text {
            return Err(changed("changes a content or depends on what it says"));
        }
        Ok(runs.finish())
    }

    /// The beginning of a placeholder: in no message and not in the template.
    fn stem(&self, messages: &[Message], options: &ChatOptions) -> String {
        let variables = serde_json::Value::from_iter(options.variables.clone()).to_string();
        (0..)
            .map(|n| format!("\u{E000}hKfR{n}\u{E001}"))
            .find(|stem| {
                let within = |text: &str| text.contains(stem);
                !within(&self.source)
                    && !within(&variables)
                    && !messages
                        .iter()
                        .any(|m| within(&m.content) || within(&m.role))
            })
            .expect("some number is in no finite text")
    }
}

fn changed(what: &str) -> Error {
    Error::Config(format!(
        "the chat template {what}; which tokens are the template's can then not be told: rephrase the message, or use a template that prints contents as they are"
    ))
}

/// Encodes text between special tokens in one piece each.
struct Runs<'a> {
    tokenizer: &'a Tokenizer,
    special: &'a [SpecialToken],
    ids: Vec<u32>,
    run: String,
    /// The last special token takes white space after it.
    strip: bool,
}

impl<'a> Runs<'a> {
    fn new(tokenizer: &'a Tokenizer, special: &'a [SpecialToken]) -> Self {
        Self {
            tokenizer,
            special,
            ids: Vec::new(),
            run: String::new(),
            strip: false,
        }
    }

    fn plain(&mut self, text: &str) {
        self.run.push_str(text);
    }

    fn template(&mut self, mut text: &str) {
        // The first special token there is, the longest of those that begin at once.
        while let Some((at, special)) = self
            .special
            .iter()
            .filter_map(|s| Some((text.find(&s.text)?, s)))
            .min_by_key(|(at, s)| (*at, std::cmp::Reverse(s.text.len())))
        {
            self.plain(&text[..at]);
            if special.lstrip {
                self.run.truncate(self.run.trim_end().len());
            }
            self.flush();
            self.ids.push(special.id);
            self.strip = special.rstrip;
            text = &text[at + special.text.len()..];
        }
        self.plain(text);
    }

    fn flush(&mut self) {
        let run = std::mem::take(&mut self.run);
        let run = if self.strip { run.trim_start() } else { &run };
        if !run.is_empty() {
            self.ids.extend(self.tokenizer.encode(run));
        }
    }

    fn finish(mut self) -> Vec<u32> {
        self.flush();
        self.ids
    }
}
