//! The chat layout of an instruction row, the same for tuning and for recommendation:
//! system = what is known of the user, user = the instruction, assistant = the answer.
//!
//! All rows of one user share the system message, and rows of one task its question, so they are
//! packed as branches of one tree.

use hkfr_lm::{Example, Label, TokenTree, Tokenizer};

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

/// Encodes parts of the layout.
pub struct Prompt<'a> {
    pub tokenizer: &'a Tokenizer,
    /// The instruction after which the user vector is read.
    pub item_instruction: &'a str,
}

impl Prompt<'_> {
    pub fn input(&self, input: &str) -> Vec<u32> {
        self.tokenizer.message("system", input)
    }

    /// The instruction and the opening of the answer.
    pub fn question(&self, instruction: &str) -> Vec<u32> {
        let mut ids = self.tokenizer.message("user", instruction);
        ids.extend(self.tokenizer.answer_opening());
        ids
    }

    /// # Panics
    /// If the model has no ChatML, as [`Tokenizer::message`] does.
    fn end_of_answer(&self) -> u32 {
        let chat = self.tokenizer.chat();
        chat.expect("a question in ChatML precedes every answer")
            .end
    }

    /// A packed example: loss on the answers (and their end) only, the item head tapped where the
    /// answer to the item instruction begins.
    pub fn pack(&self, example: &TuneExample) -> Example {
        let mut tree = TokenTree::default();
        let root = tree.push(None, &self.input(&example.input));
        let mut packed = Example::default();
        let mut item_row = None;
        // Rows of one instruction follow each other: the question is computed once.
        for rows in example.rows.chunk_by(|a, b| a.instruction == b.instruction) {
            let question = tree.push(Some(root), &self.question(&rows[0].instruction));
            let opening = tree.rows(question).end - 1;
            for row in rows {
                let mut answer = self.tokenizer.encode(&row.output);
                answer.push(self.end_of_answer());
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
            if rows[0].instruction == self.item_instruction {
                item_row = Some(opening);
            }
        }
        if !example.targets.is_empty() {
            let row = item_row.unwrap_or_else(|| {
                let segment = tree.push(Some(root), &self.question(self.item_instruction));
                tree.rows(segment).end - 1
            });
            packed.taps.push(row);
        }
        packed.tree = tree;
        packed
    }
}
