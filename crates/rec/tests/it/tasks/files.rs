//! The files of the rows, byte by byte, and what other programs are told of them.

use std::path::Path;

use hkfr_rec::Error;
use hkfr_rec::tasks::{
    InstructionRow, TASKS, axolotl, dataset_info, read_alpaca, read_messages, read_sharegpt,
    write_alpaca, write_messages, write_sharegpt,
};
use serde_json::Value;

use super::{asked, world};

fn sample_rows() -> Vec<InstructionRow> {
    let mut world = world(&[1, 2, 3]);
    world.instance.keep_last = Some(3);
    let (mut rows, _) = world.rows("films", &asked(&TASKS), 5);
    for row in &mut rows {
        row.input = "line one\nline \"two\" \u{1F34E} \\".into();
    }
    rows[0].keep_last = None;
    rows
}

type Write = fn(&Path, &[InstructionRow]) -> hkfr_rec::Result<()>;
type Read = fn(&Path) -> hkfr_rec::Result<Vec<InstructionRow>>;

#[test]
fn files_give_back_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let rows = sample_rows();
    for (write, read) in [
        (write_alpaca as Write, read_alpaca as Read),
        (write_messages, read_messages),
        (write_sharegpt, read_sharegpt),
    ] {
        let path = dir.path().join("rows.jsonl");
        write(&path, &rows).unwrap();
        assert_eq!(read(&path).unwrap(), rows);
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
        // Cut in the middle of its last line.
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 20]).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.contains(&format!("rows.jsonl:{}: ", rows.len())),
            "{error}"
        );
        std::fs::write(&path, b"\xff\xfe\n").unwrap();
        assert!(matches!(read(&path), Err(Error::BadRow { line: 1, .. })));
    }
}

#[test]
fn a_row_in_each_form() {
    let dir = tempfile::tempdir().unwrap();
    let row = InstructionRow {
        id: "u1@3456000/weekday".into(),
        task: "weekday".into(),
        user: "u1".into(),
        as_of: 3_456_000,
        keep_last: None,
        instruction: "On which weekday?".into(),
        input: "Shops on \"Monday\".\nAlone.".into(),
        output: "周一".into(),
    };
    let head = r#"{"id":"u1@3456000/weekday","task":"weekday","user":"u1","as_of":3456000,"#;
    let input = r#""Shops on \"Monday\".\nAlone.""#;
    for (write, rest) in [
        (
            write_alpaca as Write,
            format!(r#""instruction":"On which weekday?","input":{input},"output":"周一"}}"#),
        ),
        (
            write_messages,
            format!(
                r#""messages":[{{"role":"system","content":{input}}},{{"role":"user","content":"On which weekday?"}},{{"role":"assistant","content":"周一"}}]}}"#
            ),
        ),
        (
            write_sharegpt,
            format!(
                r#""conversations":[{{"from":"system","value":{input}}},{{"from":"human","value":"On which weekday?"}},{{"from":"gpt","value":"周一"}}]}}"#
            ),
        ),
    ] {
        let path = dir.path().join("rows.jsonl");
        write(&path, std::slice::from_ref(&row)).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("{head}{rest}\n")
        );
    }
    // Other roles than these are refused.
    let path = dir.path().join("rows.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"gpt\"", "\"tool\"")).unwrap();
    let error = read_sharegpt(&path).unwrap_err().to_string();
    assert!(
        error.contains("rows.jsonl:1: ") && error.contains("gpt"),
        "{error}"
    );
    write_messages(&path, &[row]).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("assistant", "tool")).unwrap();
    let error = read_messages(&path).unwrap_err().to_string();
    assert!(
        error.contains("rows.jsonl:1: ") && error.contains("assistant"),
        "{error}"
    );
}

#[test]
fn other_programs_are_told_the_columns_that_there_are() {
    let info = dataset_info(&["no-fusion"]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&info).unwrap(), @r#"
    {
      "hkfr_no_fusion": {
        "columns": {
          "messages": "messages"
        },
        "file_name": "no-fusion.messages.jsonl",
        "formatting": "sharegpt",
        "tags": {
          "assistant_tag": "assistant",
          "content_tag": "content",
          "role_tag": "role",
          "system_tag": "system",
          "user_tag": "user"
        }
      },
      "hkfr_no_fusion_alpaca": {
        "columns": {
          "prompt": "instruction",
          "response": "output",
          "system": "input"
        },
        "file_name": "no-fusion.alpaca.jsonl",
        "formatting": "alpaca"
      },
      "hkfr_no_fusion_sharegpt": {
        "columns": {
          "messages": "conversations"
        },
        "file_name": "no-fusion.sharegpt.jsonl",
        "formatting": "sharegpt",
        "tags": {
          "assistant_tag": "gpt",
          "content_tag": "value",
          "role_tag": "from",
          "system_tag": "system",
          "user_tag": "human"
        }
      }
    }
    "#);
    insta::assert_snapshot!(axolotl("fusion", 512), @r#"
    # The rows for Axolotl, started in this directory: put this part into your config.
    # The knowledge is the system message, the instruction the question, and the loss is on the answer.
    chat_template: tokenizer_default
    train_on_inputs: false
    # No row of hkfr's own model is longer; another model's tokens may be more.
    sequence_len: 512
    datasets:
      - path: fusion.messages.jsonl
        ds_type: json
        type: chat_template
        field_messages: messages
        message_property_mappings:
          role: role
          content: content
        roles_to_train: ["assistant"]
        train_on_eos: turn
    # The same as ShareGPT, in place of the above:
    # - path: fusion.sharegpt.jsonl
    #   ds_type: json
    #   type: chat_template
    #   field_messages: conversations
    #   message_property_mappings:
    #     role: from
    #     content: value
    # The same as Alpaca: a prompt of its own (### Instruction, ### Input), not the chat that hkfr asks by.
    # - path: fusion.alpaca.jsonl
    #   ds_type: json
    #   type: alpaca
    "#);
    // Every column and tag that is named is in the file.
    let dir = tempfile::tempdir().unwrap();
    let rows = sample_rows();
    for (suffix, write) in [
        ("", write_messages as Write),
        ("_alpaca", write_alpaca),
        ("_sharegpt", write_sharegpt),
    ] {
        let path = dir.path().join("rows.jsonl");
        write(&path, &rows).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let row: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let entry = &info[format!("hkfr_no_fusion{suffix}")];
        for column in entry["columns"].as_object().unwrap().values() {
            assert!(!row[column.as_str().unwrap()].is_null(), "{column}");
        }
        if let Some(tags) = entry.get("tags") {
            let tag = |key: &str| tags[key].as_str().unwrap();
            let turns = &row[entry["columns"]["messages"].as_str().unwrap()];
            for (i, role) in ["system_tag", "user_tag", "assistant_tag"]
                .iter()
                .enumerate()
            {
                assert_eq!(turns[i][tag("role_tag")], tag(role));
                assert!(turns[i][tag("content_tag")].is_string());
            }
        }
    }
}
