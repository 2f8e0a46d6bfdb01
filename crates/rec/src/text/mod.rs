//! What the catalogue says of its entities, as vectors: sparse by tf-idf, dense by LSA. No language model.
//!
//! | module | in → out |
//! |---|---|
//! | [`tokens`](tokens()) | title, categories, attributes → tokens of each entity |
//! | [`tfidf`](EntityTexts) | tokens → sparse rows, and cosines to a weighted history |
//! | [`lsa`](EntityTexts::lsa) | sparse rows → dense rows (truncated SVD; Deerwester et al., JASIS 1990) |
//! | [`whiten`](whiten()) | dense rows → rows without correlation between their elements (arXiv 2103.15316) |
//!
//! What an entity says of itself is there before anybody chose it: its row needs no history.

mod lsa;
mod sparse;
mod tfidf;
mod tokens;
mod whiten;

pub use tfidf::EntityTexts;
pub use tokens::tokens;
pub use whiten::whiten;
