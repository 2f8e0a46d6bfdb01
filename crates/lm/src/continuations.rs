//! The likelihood of each of many continuations of one prompt.
//!
//! What several options begin with is computed once, and of an option's last token nothing is: no
//! token is asked for after it.

use crate::forward::Session;
use crate::kernels::log_sum_exp;
use crate::lora::Lora;
use crate::model::Llama;
use crate::tree::TokenTree;

/// `ln p(option | prompt)` summed over its tokens, for each option, in one pass over all of them.
/// `tree` holds the prompt, whose last segment `prompt` was computed by the session's last call.
///
/// # Panics
/// If an option is empty.
pub fn score_continuations(
    session: &mut Session,
    model: &Llama,
    lora: Option<&Lora>,
    tree: &mut TokenTree,
    prompt: usize,
    options: &[Vec<u32>],
) -> Vec<f32> {
    let logits = session.logits(model, &[tree.rows(prompt).end - 1]);
    let norm = log_sum_exp(logits);
    let mut scores: Vec<f32> = options
        .iter()
        .map(|o| logits[o[0] as usize] - norm)
        .collect();
    let mut sorted: Vec<usize> = (0..options.len())
        .filter(|&i| options[i].len() > 1)
        .collect();
    sorted.sort_by(|&a, &b| options[a].cmp(&options[b]));
    let mut branches = Branches {
        options,
        tree,
        asked: Vec::new(),
    };
    branches.push(prompt, &sorted, 0);
    let asked = branches.asked;
    if !asked.is_empty() {
        session.extend(model, lora, tree);
        let questions: Vec<(usize, u32)> = asked.iter().map(|a| (a.row, a.token)).collect();
        for (asked, log_prob) in asked.iter().zip(session.log_probs(model, &questions)) {
            scores[asked.option] += log_prob;
        }
    }
    scores
}

/// The row after which an option's next token is asked for.
struct Asked {
    option: usize,
    row: usize,
    token: u32,
}

struct Branches<'a> {
    options: &'a [Vec<u32>],
    tree: &'a mut TokenTree,
    asked: Vec<Asked>,
}

impl Branches<'_> {
    /// Lays out what follows the first `depth` tokens of `sorted` options, which are equal, after `parent`.
    fn push(&mut self, parent: usize, sorted: &[usize], depth: usize) {
        let options = self.options;
        // Without their last tokens, after which nothing is asked.
        let read = |i: usize| &options[i][..options[i].len() - 1];
        let goes_on: Vec<usize> = sorted
            .iter()
            .copied()
            .filter(|&i| read(i).len() > depth)
            .collect();
        for group in goes_on.chunk_by(|&a, &b| read(a)[depth] == read(b)[depth]) {
            // Sorted: what the first and the last have in common, all have.
            let (first, last) = (read(group[0]), read(group[group.len() - 1]));
            let end = first.iter().zip(last).take_while(|(a, b)| a == b).count();
            let end = group.iter().map(|&i| read(i).len()).fold(end, usize::min);
            let segment = self.tree.push(Some(parent), &first[depth..end]);
            for &option in group {
                let rows = self.tree.rows(segment).zip(&options[option][depth + 1..]);
                let asked = rows.map(|(row, &token)| Asked { option, row, token });
                self.asked.extend(asked);
            }
            self.push(segment, group, end);
        }
    }
}
