//! What other tuning programs must be told to read the rows as they are: LLaMA-Factory's `dataset_info.json`
//! and a part of an Axolotl config.
//!
//! Whichever file is read, the chat is the one that hkfr tunes on and asks by: the input as system message, the
//! instruction as user message, the output as answer.

use serde_json::{Value, json};

/// The file name of a form of a variant's rows.
fn file(variant: &str, form: &str) -> String {
    format!("{variant}.{form}.jsonl")
}

/// For LLaMA-Factory with `dataset_dir` at the directory of the rows: `hkfr_<variant>`, from the messages, and
/// the same with the suffixes `_alpaca` and `_sharegpt`.
pub fn dataset_info(variants: &[&str]) -> Value {
    let mut info = serde_json::Map::new();
    for variant in variants {
        let name = format!("hkfr_{}", variant.replace('-', "_"));
        let messages = json!({
            "file_name": file(variant, "messages"),
            "formatting": "sharegpt",
            "columns": { "messages": "messages" },
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "system_tag": "system",
            },
        });
        // By default LLaMA-Factory would put the input behind the instruction.
        let alpaca = json!({
            "file_name": file(variant, "alpaca"),
            "formatting": "alpaca",
            "columns": { "prompt": "instruction", "system": "input", "response": "output" },
        });
        let sharegpt = json!({
            "file_name": file(variant, "sharegpt"),
            "formatting": "sharegpt",
            "columns": { "messages": "conversations" },
            "tags": {
                "role_tag": "from",
                "content_tag": "value",
                "user_tag": "human",
                "assistant_tag": "gpt",
                "system_tag": "system",
            },
        });
        for (suffix, entry) in [("", messages), ("_alpaca", alpaca), ("_sharegpt", sharegpt)] {
            info.insert(format!("{name}{suffix}"), entry);
        }
    }
    Value::Object(info)
}

/// The part of an Axolotl config that names the rows of `variant`. Axolotl reads paths from where it is started.
pub fn axolotl(variant: &str, max_tokens: usize) -> String {
    let (messages, sharegpt, alpaca) = (
        file(variant, "messages"),
        file(variant, "sharegpt"),
        file(variant, "alpaca"),
    );
    format!(
        "# The rows for Axolotl, started in this directory: put this part into your config.\n\
         # The knowledge is the system message, the instruction the question, and the loss is on the answer.\n\
         chat_template: tokenizer_default\n\
         train_on_inputs: false\n\
         # No row of hkfr's own model is longer; another model's tokens may be more.\n\
         sequence_len: {max_tokens}\n\
         datasets:\n\
         \x20 - path: {messages}\n\
         \x20   ds_type: json\n\
         \x20   type: chat_template\n\
         \x20   field_messages: messages\n\
         \x20   message_property_mappings:\n\
         \x20     role: role\n\
         \x20     content: content\n\
         \x20   roles_to_train: [\"assistant\"]\n\
         \x20   train_on_eos: turn\n\
         # The same as ShareGPT, in place of the above:\n\
         # - path: {sharegpt}\n\
         #   ds_type: json\n\
         #   type: chat_template\n\
         #   field_messages: conversations\n\
         #   message_property_mappings:\n\
         #     role: from\n\
         #     content: value\n\
         # The same as Alpaca: a prompt of its own (### Instruction, ### Input), not the chat that hkfr asks by.\n\
         # - path: {alpaca}\n\
         #   ds_type: json\n\
         #   type: alpaca\n"
    )
}
