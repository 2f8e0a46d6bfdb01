//! Sequence models: the next item from the order of the last ones.
//!
//! | network | source |
//! |---|---|
//! | [`SasRec`] | Kang & McAuley, arXiv 1808.09781 |
//! | [`ESasRec`] | arXiv 2508.06450: LiGR blocks |
//! | [`Bert4Rec`] | Sun et al., arXiv 1904.06690 |
//! | [`Gru4Rec`] | Hidasi et al., arXiv 1511.06939 |
//! | [`Caser`] | Tang & Wang, arXiv 1809.07426 |
//!
//! In: [`Sequences`] of catalogue positions. Out: a [`SequenceModel`] that scores the whole catalogue.
//! A [`Network`] turns item vectors into hidden states, forward and backward; [`Trainer`] and [`fit`]
//! give it batches, a [`Loss`], negatives, Adam and early stopping. The item vectors are the output
//! layer too. Histories lie packed, without padding: the work is that of the real items. What was chosen at one
//! time has no order of its own ([`Orders`]). With [`ItemFeatures`] an item's vector says what the item is, too
//! ([`Described`]).
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use hkfr_rec::sequence::{SasRec, Scratch, Sequences, TrainConfig, TransformerConfig, fit};
//!
//! // Everybody walks a ring of six items.
//! let walks = (0..30).map(|u| (u..u + 5).map(|i| i % 6).collect()).collect();
//! let data = Sequences::leave_one_out(6, walks);
//! let network = SasRec::new(TransformerConfig { dim: 16, ..Default::default() })?;
//! let config = TrainConfig { batch_size: 10, max_epochs: 40, ..Default::default() };
//! let (model, _) = fit(network, &data, &config, false, 1, &mut |_| ControlFlow::Continue(()))?;
//! let mut scratch = Scratch::default();
//! let scores = model.scores(&[&[2, 3, 4]], &mut scratch);
//! assert!(scores.iter().all(|s| *s <= scores[5]));
//! # Ok::<(), hkfr_rec::Error>(())
//! ```

mod attention;
mod bert4rec;
mod block;
mod caser;
mod described;
mod features;
mod feed_forward;
mod file;
mod fit;
mod gru;
mod gru4rec;
mod item_table;
mod layers;
mod layout;
mod ligr;
mod loss;
mod model;
mod moments;
mod negatives;
mod network;
mod orders;
mod packed;
mod post_norm;
mod sasrec;
mod scorer;
mod trainer;
mod transformer;

pub use crate::validation::{Accuracy, Progress, Query};
pub use bert4rec::{Bert4Rec, Bert4RecConfig};
pub use block::{Activation, Block, TransformerConfig};
pub use caser::{Caser, CaserConfig};
pub use described::Described;
pub use features::ItemFeatures;
pub use file::{Saved, SavedModel};
pub use fit::{Sequences, fit, train};
pub use gru4rec::{Gru4Rec, Gru4RecConfig};
pub use layers::{Dropout, Pass};
pub(crate) use layout::Init;
pub use layout::{Layout, Parameter};
pub use loss::Loss;
pub(crate) use loss::{all_scores, sigmoid, softplus};
pub use model::{Scratch, SequenceModel};
pub use negatives::Sampling;
pub use network::Network;
pub use orders::{Orders, Targets};
pub use packed::{Packed, Target};
pub use scorer::{SequenceScorer, orders, training_orders};
pub use trainer::{TrainConfig, Trainer};
pub use transformer::{ESasRec, SasRec, Transformer};
