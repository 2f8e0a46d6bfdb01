//! The catalogue's items as the stages with a language model see them: titles, vectors, popularity.

use std::path::Path;

use anyhow::{Context, Result};
use hkfr_events::{Catalogue, Dataset, Split};
use hkfr_fuse::sanitise;
use hkfr_lm::{Encoder, load_tensors, save_tensors};
use hkfr_rec::llm::ItemVectors;

use super::{Session, n_threads};

/// Characters of a name in a prompt; the same in instructions and in candidates.
pub const MAX_NAME: usize = 80;

/// Titles as the language model reads them, in the order of the catalogue.
pub fn titles(dataset: &Dataset, catalogue: &Catalogue) -> Vec<String> {
    catalogue
        .items
        .iter()
        .map(|&i| sanitise(&dataset.title(i), MAX_NAME).0)
        .collect()
}

/// The fixed vectors of the catalogue's items. Sentence embeddings cost half a minute, so they are
/// kept in `path`.
pub fn item_vectors(session: &mut Session, path: &Path) -> Result<ItemVectors> {
    let (dataset, split, model) = (session.dataset()?, session.split()?, session.model()?);
    let titles = titles(&dataset, &split.catalogue);
    let sentence = if path.exists() {
        sentence_vectors(path)?
    } else {
        let encoder =
            Encoder::open_with(&session.encoder_path()?, session.config.models.precision)?;
        let describe = |(title, &item): (&String, &u32)| {
            let category = dataset.category(item).unwrap_or_default();
            format!("{title}. {}", sanitise(category, MAX_NAME).0)
        };
        let texts: Vec<String> = titles
            .iter()
            .zip(&split.catalogue.items)
            .map(describe)
            .collect();
        let mut sentence = Vec::new();
        let progress = crate::progress::Progress::new(
            "embedding items",
            crate::progress::Unit::Things("items"),
            Some(texts.len() as u64),
        );
        for chunk in texts.chunks(256) {
            session.stop.check()?;
            let refs: Vec<&str> = chunk.iter().map(String::as_str).collect();
            sentence.extend(encoder.embed(&refs, n_threads())?);
            progress.inc(chunk.len() as u64);
        }
        let shape = vec![texts.len(), encoder.width()];
        save_tensors(
            path,
            &[("sentence".into(), shape, &sentence)],
            std::collections::HashMap::new(),
        )?;
        sentence
    };
    let refs: Vec<&str> = titles.iter().map(String::as_str).collect();
    Ok(ItemVectors::new(
        &model.llama,
        &model.tokenizer,
        &refs,
        sentence,
    ))
}

/// The sentence embeddings (items, width) that [`item_vectors`] kept in `path`.
pub fn sentence_vectors(path: &Path) -> Result<Vec<f32>> {
    let (mut tensors, _) = load_tensors(path)?;
    let sentence = tensors.remove("sentence");
    let sentence = sentence.context("the item vectors are damaged; run with --force tune")?;
    Ok(sentence.1)
}

/// Choices of each catalogue item in the training histories.
pub fn popularity(dataset: &Dataset, split: &Split) -> Vec<f32> {
    let mut counts = vec![0.0; split.catalogue.items.len()];
    for user in 0..dataset.n_users() as u32 {
        for e in split
            .training_history(dataset, user)
            .into_iter()
            .flat_map(|h| h.events())
        {
            if let Some(p) = e
                .item
                .filter(|_| dataset.is_target(e))
                .and_then(|i| split.catalogue.position(i))
            {
                counts[p] += 1.0;
            }
        }
    }
    counts
}
