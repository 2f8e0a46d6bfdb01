//! The embedded LLM as the judge of which true statements characterise a user.

use std::sync::Arc;

use hkfr_fuse::StatementScorer;
use hkfr_lm::{Llama, Session, TokenTree, Tokenizer, score_continuations};

pub struct EmbeddedScorer {
    model: Arc<Llama>,
    tokenizer: Arc<Tokenizer>,
    session: Session,
}

impl EmbeddedScorer {
    pub fn new(model: Arc<Llama>, tokenizer: Arc<Tokenizer>) -> Self {
        Self {
            model,
            tokenizer,
            session: Session::default(),
        }
    }
}

impl StatementScorer for EmbeddedScorer {
    fn model_id(&self) -> String {
        self.model.name.clone()
    }

    /// All options are branches of one prompt, computed in one pass.
    fn score(&mut self, system: &str, user: &str, options: &[String]) -> Result<Vec<f32>, String> {
        let t = &self.tokenizer;
        let mut ids = if system.is_empty() {
            Vec::new()
        } else {
            t.message("system", system)
        };
        ids.extend(t.message("user", user));
        ids.extend(t.answer_opening());
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
