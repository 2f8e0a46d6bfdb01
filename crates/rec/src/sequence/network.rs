//! What a sequence model must do to be trained and asked by the rest of this module: batches, losses,
//! negatives, the optimiser and early stopping know no more of it.

use rand_chacha::ChaCha8Rng;

use super::layers::Dropout;
use super::layout::Layout;
use super::orders::Orders;
use super::packed::Packed;

/// Item vectors in, hidden states out. Scores are products of hidden states and item vectors.
pub trait Network: Send + Sync {
    /// What backward needs of forward; kept from batch to batch.
    type Activations: Default + Send + Sync;

    fn name(&self) -> &str;

    /// Width of items and hidden states.
    fn dim(&self) -> usize;

    /// Items of a history that are read, the last ones.
    fn max_len(&self) -> usize;

    /// The parameters besides the item vectors.
    fn layout(&self) -> &Layout;

    /// Rows of the item table behind the items, which are tokens and never recommended: a mask.
    fn n_special(&self) -> usize {
        0
    }

    /// Items of the catalogue that it was built for, if it has to know.
    fn n_items(&self) -> Option<usize> {
        None
    }

    /// Appends what a training sequence (at most `max_len` + 1 items) teaches. By default every row predicts the
    /// next item.
    fn pack_training(&self, batch: &mut Packed, sequence: &Orders, rng: &mut ChaCha8Rng) {
        batch.push_next_item(sequence, rng);
    }

    /// Appends a history (at most `max_len` items) whose last row shall be the next item.
    fn pack_history(&self, batch: &mut Packed, history: &[u32]) {
        batch.push(history);
    }

    /// `x` (rows, dim): the vectors of the batch's tokens in, hidden states out.
    fn forward(
        &self,
        params: &[f32],
        batch: &Packed,
        dropout: Dropout,
        x: &mut Vec<f32>,
        activations: &mut Self::Activations,
    );

    /// `dx` (rows, dim): the gradient of the hidden states in, that of the token vectors out. Adds to
    /// `grads`, which is laid out as `params`. Follows a forward with the same arguments.
    fn backward(
        &self,
        params: &[f32],
        grads: &mut [f32],
        batch: &Packed,
        dropout: Dropout,
        dx: &mut Vec<f32>,
        activations: &mut Self::Activations,
    );
}
