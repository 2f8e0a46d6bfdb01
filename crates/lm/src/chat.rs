//! Chats as the model was taught them: its own Jinja template, from its own file.
//!
//! Templates are written for Jinja2 in Python as `transformers` sets it up: blocks are trimmed, an
//! undefined name is empty, strings have Python's methods, and `raise_exception` and `strftime_now`
//! exist. How a rendered chat becomes tokens is in `chat_tokens.rs`.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDateTime;
use minijinja::value::Value as Jinja;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::gguf::{Gguf, Value};
use crate::python_methods;

/// Steps a template may take: a model's file is not trusted to end.
const FUEL: u64 = 10_000_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`: the program's word, not a user's.
    pub role: String,
    pub content: String,
}

impl Message {
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
        }
    }
}

/// What a template is given beside the messages.
#[derive(Debug, Clone, Default)]
pub struct ChatOptions {
    /// Ends with the opening of an answer.
    pub add_generation_prompt: bool,
    /// What `strftime_now` tells; a template that asks for it fails without it.
    pub now: Option<NaiveDateTime>,
    /// Further variables of the template, such as `enable_thinking`. Their text counts as the template's.
    pub variables: BTreeMap<String, serde_json::Value>,
}

/// A token that a template may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialToken {
    pub text: String,
    pub id: u32,
    /// Takes the white space before, or after, with it.
    pub lstrip: bool,
    pub rstrip: bool,
}

pub struct ChatTemplate {
    environment: Environment<'static>,
    pub(crate) source: String,
    bos: Option<String>,
    eos: Option<String>,
    pub(crate) special: Vec<SpecialToken>,
}

impl ChatTemplate {
    /// # Errors
    /// If the template is not Jinja as far as it is supported here.
    pub fn new(
        source: String,
        bos: Option<String>,
        eos: Option<String>,
        mut special: Vec<SpecialToken>,
    ) -> Result<Self> {
        special.retain(|s| !s.text.is_empty());
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(python_methods::call);
        environment.set_fuel(Some(FUEL));
        environment.add_function(
            "raise_exception",
            |why: String| -> std::result::Result<Jinja, _> {
                Err(minijinja::Error::new(ErrorKind::InvalidOperation, why))
            },
        );
        environment
            .add_template_owned("chat", source.clone())
            .map_err(failed)?;
        Ok(Self {
            environment,
            source,
            bos,
            eos,
            special,
        })
    }

    /// The template of a GGUF file (`tokenizer.chat_template`).
    ///
    /// # Errors
    /// If the file has none, or it is not Jinja as far as it is supported here.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let source = gguf.metadata("tokenizer.chat_template")?;
        let tokens = gguf.metadata("tokenizer.ggml.tokens")?;
        let text = |id: usize| tokens.as_list()?.get(id)?.as_text().map(str::to_owned);
        let token = |key: &str| {
            let id = gguf.metadata(key).ok().and_then(Value::as_int)?;
            text(usize::try_from(id).ok()?)
        };
        let kinds = gguf.metadata("tokenizer.ggml.token_type")?;
        // 3 is a control token, 4 a user-defined one.
        let special = kinds.as_list().unwrap_or_default().iter().enumerate();
        let special = special
            .filter(|(_, kind)| matches!(kind.as_int(), Some(3 | 4)))
            .filter_map(|(id, _)| {
                Some(SpecialToken {
                    text: text(id)?,
                    id: id as u32,
                    lstrip: false,
                    rstrip: false,
                })
            })
            .collect();
        Self::new(
            source.as_text().unwrap_or_default().to_owned(),
            token("tokenizer.ggml.bos_token_id"),
            token("tokenizer.ggml.eos_token_id"),
            special,
        )
    }

    /// The template of a Hugging Face directory: `chat_template.jinja`, or `chat_template` in
    /// `tokenizer_config.json`; special tokens are the `added_tokens` of `tokenizer.json`.
    ///
    /// # Errors
    /// If a file is missing or not what it should be, or there is no template.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        let read = |name: &str| -> Result<serde_json::Value> {
            let path = dir.join(name);
            serde_json::from_slice(&fs_err::read(&path)?).map_err(|e| Error::BadFile {
                path,
                reason: format!("{e}; the file is damaged: fetch it again"),
            })
        };
        let config = read("tokenizer_config.json")?;
        let file = dir.join("chat_template.jinja");
        let source = if file.exists() {
            fs_err::read_to_string(&file)?
        } else {
            let template = &config["chat_template"];
            // A list of named templates has one that is called "default".
            let named = template.as_array().and_then(|list| {
                list.iter()
                    .find(|t| t["name"] == "default")
                    .map(|t| &t["template"])
            });
            let source = named.unwrap_or(template).as_str();
            source.map(str::to_owned).ok_or_else(|| Error::BadFile {
                path: dir.join("tokenizer_config.json"),
                reason: "lacks \"chat_template\", and there is no chat_template.jinja: a base model has none; use an instruct model".into(),
            })?
        };
        let token = |key: &str| {
            let token = &config[key];
            token
                .as_str()
                .or(token["content"].as_str())
                .map(str::to_owned)
        };
        let tokenizer = read("tokenizer.json")?;
        let added = tokenizer["added_tokens"].as_array();
        let special = added
            .into_iter()
            .flatten()
            .filter_map(|t| {
                Some(SpecialToken {
                    text: t["content"].as_str()?.to_owned(),
                    id: t["id"].as_u64()?.try_into().ok()?,
                    lstrip: t["lstrip"] == true,
                    rstrip: t["rstrip"] == true,
                })
            })
            .collect();
        Self::new(source, token("bos_token"), token("eos_token"), special)
    }

    /// The id of the end-of-sequence token, which usually ends an answer.
    pub fn eos_id(&self) -> Option<u32> {
        let eos = self.eos.as_ref()?;
        self.special.iter().find(|s| s.text == *eos).map(|s| s.id)
    }

    /// The chat as text, for people to read. [`ChatTemplate::encode`] is what a model is given.
    ///
    /// # Errors
    /// If the template refuses the messages.
    pub fn render(&self, messages: &[Message], options: &ChatOptions) -> Result<String> {
        let now = options.now;
        let strftime_now = move |format: String| -> std::result::Result<String, minijinja::Error> {
            use std::fmt::Write;
            let fail =
                |why: &str| minijinja::Error::new(ErrorKind::InvalidOperation, why.to_owned());
            let now =
                now.ok_or_else(|| fail("the template asks for the time: give ChatOptions::now"))?;
            let mut text = String::new();
            write!(text, "{}", now.format(&format))
                .map_err(|_| fail("strftime_now has a format that is not known"))?;
            Ok(text)
        };
        let mut variables: BTreeMap<&str, Jinja> = options
            .variables
            .iter()
            .map(|(k, v)| (k.as_str(), Jinja::from_serialize(v)))
            .collect();
        variables.insert("messages", Jinja::from_serialize(messages));
        variables.insert(
            "add_generation_prompt",
            options.add_generation_prompt.into(),
        );
        variables.insert("strftime_now", Jinja::from_function(strftime_now));
        for (name, token) in [("bos_token", &self.bos), ("eos_token", &self.eos)] {
            variables.insert(name, token.as_deref().map_or(Jinja::UNDEFINED, Jinja::from));
        }
        let template = self.environment.get_template("chat").map_err(failed)?;
        template.render(variables).map_err(failed)
    }
}

fn failed(e: minijinja::Error) -> Error {
    let detail = e.detail().map_or(String::new(), |d| format!(": {d}"));
    let line = e.line().map_or(String::new(), |l| format!(" in line {l}"));
    Error::Config(format!("chat template: {}{line}{detail}", e.kind()))
}
