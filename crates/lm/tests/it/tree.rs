use hkfr_lm::{Session, TokenTree};
use proptest::prelude::*;

use crate::tiny::{assert_close, lora, model, tokens};

#[test]
fn segments_that_grow_side_by_side_equal_chains_of_single_tokens() {
    let model = model();
    let lora = lora(&model);
    let (root, steps) = (tokens(7, 1), [tokens(5, 2), tokens(5, 3), tokens(5, 4)]);
    let prompts = [tokens(1, 5), tokens(4, 6), tokens(2, 7)];
    let v = model.config.vocab_size;

    let (mut grown, mut chained) = (TokenTree::default(), TokenTree::default());
    let mut sessions = (Session::default(), Session::default());
    let r = (grown.push(None, &root), chained.push(None, &root));
    let branches: Vec<usize> = prompts
        .iter()
        .map(|p| grown.push_with_room(Some(r.0), p, 5))
        .collect();
    let mut ends: Vec<usize> = prompts.iter().map(|p| chained.push(Some(r.1), p)).collect();
    sessions.0.prefill(&model, Some(&lora), &grown);
    sessions.1.prefill(&model, Some(&lora), &chained);
    #[expect(clippy::needless_range_loop, reason = "t is a turn of all requests")]
    for t in 0..5 {
        // The second request skips a turn: rows to compute then lie apart.
        let who: Vec<usize> = (0..3).filter(|&i| i != 1 || t != 2).collect();
        let rows: Vec<usize> = who
            .iter()
            .map(|&i| grown.grow(branches[i], steps[i][t]))
            .collect();
        for &i in &who {
            ends[i] = chained.push(Some(ends[i]), &[steps[i][t]]);
        }
        sessions.0.extend(&model, Some(&lora), &grown);
        sessions.1.extend(&model, Some(&lora), &chained);
        let other: Vec<usize> = who.iter().map(|&i| chained.rows(ends[i]).start).collect();
        let a = sessions.0.logits(&model, &rows).to_vec();
        assert_eq!(a.len(), who.len() * v);
        assert_close(&a, sessions.1.logits(&model, &other), 1e-4);
    }
}

#[test]
fn a_fork_does_not_see_what_its_parent_grew_later() {
    let model = model();
    let root = tokens(6, 1);
    let mut tree = TokenTree::default();
    let mut session = Session::default();
    let parent = tree.push_with_room(None, &root, 3);
    session.prefill(&model, None, &tree);
    let fork = tree.push(Some(parent), &[4, 5]);
    tree.grow(parent, 9);
    tree.grow(parent, 8);
    session.extend(&model, None, &tree);
    let rows = [tree.rows(fork).end - 1, tree.rows(parent).end - 1];
    let logits = session.logits(&model, &rows).to_vec();
    let v = model.config.vocab_size;
    for (logits, tail) in logits.chunks_exact(v).zip([[4, 5], [9, 8]]) {
        let mut alone = TokenTree::default();
        alone.push(None, &[&root[..], &tail].concat());
        let mut session = Session::default();
        session.prefill(&model, None, &alone);
        assert_close(logits, session.logits(&model, &[root.len() + 1]), 1e-4);
    }
}

#[test]
fn after_truncation_the_rest_is_computed_anew() {
    let model = model();
    let mut tree = TokenTree::default();
    let mut session = Session::default();
    let root = tree.push(None, &tokens(5, 1));
    session.prefill(&model, None, &tree);
    let mut ask = |session: &mut Session, branch: &[u32]| {
        tree.truncate(1);
        session.rewind(&tree);
        let s = tree.push_with_room(Some(root), branch, 4);
        session.extend(&model, None, &tree);
        let row = tree.rows(s).end - 1;
        session.logits(&model, &[row]).to_vec()
    };
    let first = ask(&mut session, &[1, 2, 3]);
    ask(&mut session, &[7, 7, 7, 7, 7]);
    assert_close(&ask(&mut session, &[1, 2, 3]), &first, 1e-6);
}

proptest! {
    /// Pushes and growths in any order: positions count along the context, ranges don't overlap,
    /// and a context never changes but by the segment's own growth.
    #[test]
    fn growth_keeps_every_other_context(moves in prop::collection::vec((0usize..8, 0usize..4, any::<bool>()), 1..40)) {
        let mut tree = TokenTree::default();
        tree.push_with_room(None, &[1], 3);
        for (at, room, grow) in moves {
            let at = at % tree.n_segments();
            let before: Vec<_> = (0..tree.n_segments()).map(|s| tree.context(s)).collect();
            if grow && tree.room(at) > 0 {
                tree.grow(at, 2);
            } else {
                tree.push_with_room(Some(at), &[3], room);
            }
            for (s, context) in before.iter().enumerate() {
                let now = tree.context(s);
                prop_assert_eq!(&now[..now.len() - 1], &context[..context.len() - 1]);
            }
            for s in 0..tree.n_segments() {
                let rows: Vec<usize> = tree.context(s).into_iter().flatten().collect();
                for (position, &row) in rows.iter().enumerate() {
                    prop_assert_eq!(tree.positions()[row] as usize, position);
                }
                if s + 1 < tree.n_segments() {
                    prop_assert!(tree.rows(s).end <= tree.rows(s + 1).start);
                }
            }
        }
    }
}
