//! Causal grouped-query attention over a [`TokenTree`]: `softmax(q kᵀ / √d) v`.
//!
//! In: queries (n, heads × head) for n `rows` of the tree, ascending; keys and values (rows, kv) for all rows.
//! Heads h·g … h·g+g−1 share key-value head h. Probabilities are recomputed backward, not stored.
//!
//! Rows are taken in blocks. The branches of one prefix lie side by side, so that one product covers
//! all of a block's rows against the prefix; only against its own segment a row is taken alone. A
//! long segment is cut into blocks that stop at their own last row: the masked half is not computed.

use std::ops::Range;

use crate::config::LlamaConfig;
use crate::kernels::{Pool, View, ViewMut, matmul, softmax, softmax_back};
use crate::tree::TokenTree;

/// Rows of a block: scores of a block and a head then stay in the cache.
const BLOCK: usize = 128;

/// The plan of the blocks, and what each rank of the team computes in.
#[derive(Default)]
pub(crate) struct Scratch {
    blocks: Vec<Block>,
    ranks: Vec<RankScratch>,
}

/// Scores of one block and head, their gradient, and, where several ranks work, what they give.
#[derive(Default)]
struct RankScratch {
    scores: Vec<f32>,
    grads: Vec<f32>,
    out: Vec<f32>,
}

/// Rows of one segment: they see the prefix, and their segment up to themselves.
struct Piece {
    /// Rows of the queries.
    rows: Range<usize>,
    /// Rows of the keys: from the first of the segment to that of the last query.
    keys: Range<usize>,
}

impl Piece {
    /// How many keys of its own segment a query sees.
    fn seen(&self, row: usize) -> usize {
        self.keys.len() + row + 1 - self.rows.end
    }
}

/// Consecutive rows of the queries that share a prefix.
struct Block {
    rows: Range<usize>,
    prefix: Vec<Range<usize>>,
    n_prefix: usize,
    pieces: Vec<Piece>,
    /// Columns of the scores: the prefix, then the longest own part.
    width: usize,
}

/// The blocks of the queries of `rows`, which ascend. In a block, query i + 1 follows query i, while
/// their keys may lie apart: generation appends a token to each of many segments.
fn plan(blocks: &mut Vec<Block>, tree: &TokenTree, rows: &[usize]) {
    blocks.clear();
    let mut fork = None;
    let mut at = 0;
    while at < rows.len() {
        let segment = tree.segment_at(rows[at]);
        let segment_rows = tree.rows(segment);
        let n = rows[at..].partition_point(|&row| row < segment_rows.end);
        let segment_fork = Some(tree.fork(segment));
        let open = blocks
            .last_mut()
            .filter(|b| fork == segment_fork && b.rows.len() < BLOCK);
        let block = match open {
            Some(block) => block,
            None => {
                let mut prefix = tree.context(segment);
                prefix.pop();
                let n_prefix = prefix.iter().map(Range::len).sum();
                blocks.push(Block {
                    rows: at..at,
                    prefix,
                    n_prefix,
                    pieces: Vec::new(),
                    width: 0,
                });
                blocks.last_mut().expect("just pushed")
            }
        };
        let n = n.min(BLOCK - block.rows.len());
        let piece = Piece {
            rows: at..at + n,
            keys: segment_rows.start..rows[at + n - 1] + 1,
        };
        block.width = block.width.max(block.n_prefix + piece.keys.len());
        block.rows.end = at + n;
        block.pieces.push(piece);
        fork = segment_fork;
        at += n;
    }
}

/// Sizes that all heads share.
#[derive(Clone, Copy)]
struct Sizes {
    /// Width of a row of queries, of a row of keys, of a head.
    d: usize,
    kv: usize,
    hd: usize,
}

impl Block {
    fn q<'a>(&self, qs: &'a [f32], rows: &Range<usize>, s: Sizes) -> View<'a> {
        View::new(&qs[rows.start * s.d..], rows.len(), s.hd, s.d)
    }

    fn head_mut<'a>(
        &self,
        out: &'a mut [f32],
        rows: &Range<usize>,
        (hd, stride): (usize, usize),
    ) -> ViewMut<'a> {
        ViewMut::new(&mut out[rows.start * stride..], rows.len(), hd, stride)
    }

    /// Calls `f(rows, keys, first element of the scores)` for every product of the block: its rows
    /// with each range of the prefix, and each piece with its own segment.
    fn products(&self, mut f: impl FnMut(&Range<usize>, Range<usize>, usize)) {
        let mut col = 0;
        for keys in &self.prefix {
            f(&self.rows, keys.clone(), col);
            col += keys.len();
        }
        for piece in &self.pieces {
            let row = piece.rows.start - self.rows.start;
            f(&piece.rows, piece.keys.clone(), row * self.width + col);
        }
    }

    /// `scores = softmax(q kᵀ / √d)`; the future of the own segment is zero, and what lies beyond a
    /// piece's own part is left as it was.
    fn probabilities(&self, scores: &mut Vec<f32>, qs: &[f32], ks: &[f32], s: Sizes) {
        scores.resize(self.rows.len() * self.width, 0.0);
        self.products(|rows, keys, at| {
            let k = View::new(&ks[keys.start * s.kv..], keys.len(), s.hd, s.kv);
            let dst = ViewMut::new(&mut scores[at..], rows.len(), keys.len(), self.width);
            matmul(
                dst,
                0.0,
                1.0 / (s.hd as f32).sqrt(),
                self.q(qs, rows, s),
                k.t(),
            );
        });
        for piece in &self.pieces {
            for row in piece.rows.clone() {
                let scores = &mut scores[(row - self.rows.start) * self.width..];
                let seen = self.n_prefix + piece.seen(row);
                let own_end = self.n_prefix + piece.keys.len();
                softmax(&mut scores[..seen]);
                scores[seen..own_end].fill(0.0);
            }
        }
    }
}

pub(crate) fn forward(
    out: &mut [f32],
    qs: &[f32],
    ks: &[f32],
    vs: &[f32],
    tree: &TokenTree,
    rows: &[usize],
    config: &LlamaConfig,
    scratch: &mut Scratch,
    pool: &mut Pool,
) {
    let s = Sizes {
        d: config.q_size(),
        kv: config.kv_size(),
        hd: config.head_dim(),
    };
    let group = config.n_heads / config.n_kv_heads;
    let team = pool.size().min(config.n_heads);
    let Scratch { blocks, ranks } = scratch;
    plan(blocks, tree, rows);
    ranks.resize_with(team.max(ranks.len()), RankScratch::default);
    let given = (qs, ks, vs);
    if team == 1 {
        let heads = 0..config.n_heads;
        forward_heads(
            out,
            s.d,
            heads,
            group,
            given,
            blocks,
            s,
            &mut ranks[0].scores,
        );
        return;
    }
    // Each rank takes some heads, and their results go to their columns afterwards.
    let of = |rank: usize| config.n_heads * rank / team..config.n_heads * (rank + 1) / team;
    let parts = ranks[..team].iter_mut().enumerate().collect();
    pool.each(parts, |(rank, scratch): (usize, &mut RankScratch)| {
        let heads = of(rank);
        let stride = heads.len() * s.hd;
        scratch.out.resize(rows.len() * stride, 0.0);
        let RankScratch { scores, out, .. } = scratch;
        forward_heads(out, stride, heads, group, given, blocks, s, scores);
    });
    for (rank, scratch) in ranks[..team].iter().enumerate() {
        let columns = of(rank).start * s.hd..of(rank).end * s.hd;
        let from = scratch.out.chunks_exact(columns.len());
        for (out, from) in out.chunks_exact_mut(s.d).zip(from) {
            out[columns.clone()].copy_from_slice(from);
        }
    }
}

/// Some heads: `out` has their columns only, its rows `stride` apart.
fn forward_heads(
    out: &mut [f32],
    stride: usize,
    heads: Range<usize>,
    group: usize,
    (qs, ks, vs): (&[f32], &[f32], &[f32]),
    blocks: &[Block],
    s: Sizes,
    scores: &mut Vec<f32>,
) {
    for block in blocks {
        for h in heads.clone() {
            let (q_col, kv_col) = (h * s.hd, h / group * s.hd);
            let out = &mut out[(h - heads.start) * s.hd..];
            block.probabilities(scores, &qs[q_col..], &ks[kv_col..], s);
            // A row's first product writes, the others add.
            let mut written = false;
            block.products(|rows, keys, at| {
                let first = block.prefix.is_empty() || !written;
                written = true;
                let v = View::new(&vs[keys.start * s.kv + kv_col..], keys.len(), s.hd, s.kv);
                let p = View::new(&scores[at..], rows.len(), keys.len(), block.width);
                let keep = if first { 0.0 } else { 1.0 };
                matmul(block.head_mut(out, rows, (s.hd, stride)), keep, 1.0, p, v);
            });
        }
    }
}

/// Gradients of [`forward`] over a whole tree without reserved rows: `dqs`, `dks`, `dvs` are added to and must begin at zero.
pub(crate) fn backward(
    (dqs, dks, dvs): (&mut [f32], &mut [f32], &mut [f32]),
    douts: &[f32],
    qs: &[f32],
    ks: &[f32],
    vs: &[f32],
    tree: &TokenTree,
    config: &LlamaConfig,
    scratch: &mut Scratch,
) {
    let s = Sizes {
        d: config.q_size(),
        kv: config.kv_size(),
        hd: config.head_dim(),
    };
    let group = config.n_heads / config.n_kv_heads;
    let scale = 1.0 / (s.hd as f32).sqrt();
    let Scratch { blocks, ranks } = scratch;
    ranks.resize_with(ranks.len().max(1), RankScratch::default);
    let RankScratch { scores, grads, .. } = &mut ranks[0];
    plan(blocks, tree, &tree.rows_since(0));
    for block in &*blocks {
        for h in 0..config.n_heads {
            let (q_col, kv_col) = (h * s.hd, h / group * s.hd);
            let (qs, douts) = (&qs[q_col..], &douts[q_col..]);
            block.probabilities(scores, qs, &ks[kv_col..], s);
            grads.resize(scores.len(), 0.0);
            block.products(|rows, keys, at| {
                let (n, row) = (keys.len(), keys.start * s.kv + kv_col);
                let dout = block.q(douts, rows, s);
                let p = View::new(&scores[at..], rows.len(), n, block.width);
                let dv = ViewMut::new(&mut dvs[row..], n, s.hd, s.kv);
                matmul(dv, 1.0, 1.0, p.t(), dout);
                let dp = ViewMut::new(&mut grads[at..], rows.len(), n, block.width);
                matmul(dp, 0.0, 1.0, dout, View::new(&vs[row..], n, s.hd, s.kv).t());
            });
            for piece in &block.pieces {
                for row in piece.rows.clone() {
                    let at = (row - block.rows.start) * block.width;
                    let seen = at + block.n_prefix + piece.seen(row);
                    let own_end = at + block.n_prefix + piece.keys.len();
                    softmax_back(&mut grads[at..seen], &scores[at..seen]);
                    grads[seen..own_end].fill(0.0);
                }
            }
            block.products(|rows, keys, at| {
                let (n, row) = (keys.len(), keys.start * s.kv + kv_col);
                let ds = View::new(&grads[at..], rows.len(), n, block.width);
                let k = View::new(&ks[row..], n, s.hd, s.kv);
                let dq = block.head_mut(&mut dqs[q_col..], rows, (s.hd, s.d));
                matmul(dq, 1.0, scale, ds, k);
                let dk = ViewMut::new(&mut dks[row..], n, s.hd, s.kv);
                matmul(dk, 1.0, scale, ds.t(), block.q(qs, rows, s));
            });
        }
    }
}
