//! The embedded LLM as the judge of which true statements characterise a user.

use std::sync::Arc;

use hkfr_fuse::StatementScorer;
use hkfr_lm::{ChatLayout, Decoder, Llama, QuantModel, Session, TokenTree, score_continuations};

pub struct EmbeddedScorer {
    model: Arc<Llama>,
    chat: Arc<ChatLayout>,
    session: Session,
}

impl EmbeddedScorer {
    /// `rounded`: the model's weights for passes of few rows; `None`: all in `f32`. It works on one
    /// thread, beside others of its kind.
    pub fn new(model: Arc<Llama>, chat: Arc<ChatLayout>, rounded: Option<Arc<QuantModel>>) -> Self {
        let mut session = Session::default();
        session.decoder = rounded.map(Decoder::new);
        Self {
            model,
            chat,
            session,
        }
    }
}

impl StatementScorer for EmbeddedScorer {
    fn model_id(&self) -> String {
        self.model.name.clone()
    }

    /// All options are branches of one prompt, computed in one pass.
    fn score(&mut self, system: &str, user: &str, options: &[String]) -> Result<Vec<f32>, String> {
        let asked = self.chat.questions(system, &[user]);
        let asked = asked.map_err(|e| e.to_string())?;
        let ids = [asked.shared, asked.own.concat()].concat();
        let t = self.chat.tokenizer();
        let options: Vec<Vec<u32>> = options.iter().map(|o| t.encode(o)).collect();
        if options.iter().any(Vec::is_empty) {
            return Err("an option is empty".into());
        }
        let longest = ids.len() + options.iter().map(Vec::len).max().unwrap_or(0);
        if longest > self.model.config.max_positions {
            return Err(format!(
                "the prompt has {longest} tokens, the model reads {}",
                self.model.config.max_positions
            ));
        }
        let mut tree = TokenTree::default();
        let prompt = tree.push(None, &ids);
        self.session.prefill(&self.model, None, &tree);
        let sums = score_continuations(
            &mut self.session,
            &self.model,
            None,
            &mut tree,
            prompt,
            &options,
        );
        Ok(sums
            .iter()
            .zip(&options)
            .map(|(s, o)| s / o.len() as f32)
            .collect())
    }
}
