//! An instruction row as a chat, the same for tuning and for recommendation:
//! system = what is known of the user, user = the instruction, assistant = the answer.
//!
//! All rows of one user share the system message, and rows of one task its question, so they are
//! packed as branches of one tree.

use hkfr_lm::{ChatLayout, Example, Label, Result};

/// An instruction and its answer about the user of a [`TuneExample`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TuneRow {
    pub instruction: String,
    pub output: String,
}

/// What is tuned on for one user as-of one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TuneExample {
    /// Knowledge or raw behaviour text.
    pub input: String,
    pub rows: Vec<TuneRow>,
    /// Catalogue positions of the items of the next order: what the item head should rank first.
    pub targets: Vec<u32>,
}

/// Writes rows in the layout of the model.
pub struct Prompt<'a> {
    pub chat: &'a ChatLayout,
    /// The instruction after which the user vector is read.
    pub item_instruction: &'a str,
}

impl Prompt<'_> {
    /// A packed example: loss on the answers (and their end) only, the item head tapped where the
    /// answer to the item instruction begins.
    ///
    /// # Errors
    /// If the model's chat template changes a text, or a sequence has more than `max_positions` tokens.
    pub fn pack(&self, example: &TuneExample, max_positions: usize) -> Result<Example> {
        // Rows of one instruction follow each other: the question is computed once.
        let same = |a: &TuneRow, b: &TuneRow| a.instruction == b.instruction;
        let chunks: Vec<&[TuneRow]> = example.rows.chunk_by(same).collect();
        let mut asked: Vec<&str> = chunks.iter().map(|rows| &*rows[0].instruction).collect();
        if !example.targets.is_empty() && !asked.contains(&self.item_instruction) {
            asked.push(self.item_instruction);
        }
        let questions = self.chat.questions(&example.input, &asked)?;
        let mut packed = Example::default();
        let tree = &mut packed.tree;
        let root = (!questions.shared.is_empty()).then(|| tree.push(None, &questions.shared));
        let mut item_row = None;
        for (i, (question, instruction)) in questions.own.iter().zip(&asked).enumerate() {
            let question = tree.push(root, question);
            let opening = tree.rows(question).end - 1;
            for row in chunks.get(i).copied().unwrap_or_default() {
                let mut answer = self.chat.tokenizer().encode(&row.output);
                answer.push(self.chat.end());
                let mut label = |row, token| {
                    packed.labels.push(Label {
                        row,
                        token,
                        weight: 1.0,
                    });
                };
                label(opening, answer[0]);
                // The last token of the answer predicts nothing and need not be computed.
                let (said, predicted) = (&answer[..answer.len() - 1], &answer[1..]);
                if !said.is_empty() {
                    let segment = tree.push(Some(question), said);
                    for (row, &token) in tree.rows(segment).zip(predicted) {
                        label(row, token);
                    }
                }
            }
            if *instruction == self.item_instruction {
                item_row = Some(opening);
            }
        }
        if !example.targets.is_empty() {
            packed.taps.extend(item_row);
        }
        let positions = packed.tree.positions();
        let longest = positions.iter().max().map_or(0, |&p| p as usize + 1);
        check_length(longest, max_positions)?;
        Ok(packed)
    }
}

/// Tokens of each row about one input, as it is tuned on: the prompt, the answer and what ends it.
///
/// # Errors
/// If the model's chat template changes a text.
pub fn row_lengths(chat: &ChatLayout, input: &str, rows: &[(&str, &str)]) -> Result<Vec<usize>> {
    let asked: Vec<&str> = rows.iter().map(|r| r.0).collect();
    let questions = chat.questions(input, &asked)?;
    let answers = rows.iter().map(|r| chat.tokenizer().encode(r.1).len() + 1);
    let own = questions.own.iter().map(Vec::len);
    let shared = questions.shared.len();
    Ok(own.zip(answers).map(|(q, a)| shared + q + a).collect())
}

/// Refuses a prompt that with its answer has more than `max_positions` tokens.
pub(super) fn check_length(longest: usize, max_positions: usize) -> Result<()> {
    if longest > max_positions {
        return Err(hkfr_lm::Error::Config(format!(
            "an instruction with its answer has {longest} tokens, and the model's context is {max_positions}: lower [fusion] knowledge_tokens, or use a model with a longer context"
        )));
    }
    Ok(())
}
