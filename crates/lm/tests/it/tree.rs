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

#[test]
fn a_branch_in_freed_rows_is_what_it_would_be_elsewhere() {
    let model = model();
    let mut tree = TokenTree::default();
    let mut session = Session::default();
    let root = tree.push(None, &tokens(5, 1));
    let ended = tree.push_with_room(Some(root), &tokens(4, 2), 3);
    let live = tree.push_with_room(Some(root), &tokens(3, 3), 2);
    session.prefill(&model, None, &tree);
    tree.free(ended);
    session.rewind(&tree);
    // What is too long goes to the end; the rest of a branch may lie before its beginning.
    let long = tree.push(Some(root), &tokens(8, 4));
    let end = tree.push(Some(long), &[6]);
    tree.grow(live, 7);
    assert_eq!((tree.rows(long), tree.rows(end)), (17..25, 5..6));
    session.extend(&model, None, &tree);
    let rows = [tree.rows(end).end - 1, tree.rows(live).end - 1];
    let logits = session.logits(&model, &rows).to_vec();
    let v = model.config.vocab_size;
    let tails = [
        [&tokens(8, 4)[..], &[6]].concat(),
        [&tokens(3, 3)[..], &[7]].concat(),
    ];
    for (logits, tail) in logits.chunks_exact(v).zip(tails) {
        let ids = [&tokens(5, 1)[..], &tail].concat();
        let mut alone = TokenTree::default();
        alone.push(None, &ids);
        let mut session = Session::default();
        session.prefill(&model, None, &alone);
        assert_close(logits, session.logits(&model, &[ids.len() - 1]), 1e-4);
    }
}

proptest! {
    /// Pushes, growths and frees in any order: positions count along the context, ranges don't overlap,
    /// and a context never changes but by the segment's own growth.
    #[test]
    fn growth_keeps_every_other_context(moves in prop::collection::vec((0usize..8, 0usize..4, 0..3), 1..40)) {
        let mut tree = TokenTree::default();
        tree.push_with_room(None, &[1], 3);
        let mut live = vec![0];
        for (at, room, kind) in moves {
            let at = live[at % live.len()];
            let before: Vec<_> = (0..tree.n_segments()).map(|s| tree.context(s)).collect();
            let n_rows = tree.len();
            let leaf = live.iter().all(|&s| tree.parent(s) != Some(at));
            let kept = live.clone();
            if kind == 0 && tree.room(at) > 0 {
                tree.grow(at, 2);
            } else if kind == 1 && leaf && live.len() > 1 {
                tree.free(at);
                live.retain(|&s| s != at);
                // The same again takes no new rows.
                let same = tree.clone().push_with_room(Some(live[0]), &[3], 0);
                prop_assert!(same < tree.n_segments());
            } else {
                let new = tree.push_with_room(Some(at), &[3], room);
                prop_assert!(!live.contains(&new));
                prop_assert!(tree.len() == n_rows || new + 1 == tree.n_segments());
                live.push(new);
            }
            for &s in kept.iter().filter(|s| live.contains(s)) {
                let (now, before) = (tree.context(s), &before[s]);
                prop_assert_eq!(&now[..now.len() - 1], &before[..before.len() - 1]);
            }
            for &s in &live {
                let rows: Vec<usize> = tree.context(s).into_iter().flatten().collect();
                for (position, &row) in rows.iter().enumerate() {
                    prop_assert_eq!(tree.positions()[row] as usize, position);
                }
            }
            for s in 1..tree.n_segments() {
                prop_assert!(tree.rows(s - 1).end <= tree.rows(s).start);
            }
        }
    }
}
