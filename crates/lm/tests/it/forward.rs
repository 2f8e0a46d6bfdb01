use hkfr_lm::{Llama, Lora, Pool, Precision, Session, TokenTree, score_continuations};

use crate::tiny::{assert_close, lora, model, tokens};

/// Logits at the end of a sequence that stands alone.
fn alone(ids: &[u32], adapted: bool) -> Vec<f32> {
    let model = model();
    let lora = lora(&model);
    alone_in(&model, adapted.then_some(&lora), ids)
}

fn alone_in(model: &Llama, lora: Option<&Lora>, ids: &[u32]) -> Vec<f32> {
    let mut tree = TokenTree::default();
    tree.push(None, ids);
    let mut session = Session::default();
    session.prefill(model, lora, &tree);
    session.logits(model, &[ids.len() - 1]).to_vec()
}

#[test]
fn a_branch_of_a_packed_tree_sees_what_it_would_see_alone() {
    let (root, left, right, leaf) = (tokens(9, 1), tokens(5, 2), tokens(4, 3), tokens(3, 4));
    for adapted in [false, true] {
        let model = model();
        let lora = lora(&model);
        let mut tree = TokenTree::default();
        let r = tree.push(None, &root);
        let a = tree.push(Some(r), &left);
        let b = tree.push(Some(r), &right);
        let c = tree.push(Some(a), &leaf);
        let mut session = Session::default();
        session.prefill(&model, adapted.then_some(&lora), &tree);
        let ends: Vec<usize> = [a, b, c].iter().map(|&s| tree.rows(s).end - 1).collect();
        let packed = session.logits(&model, &ends).to_vec();
        let v = model.config.vocab_size;
        assert_close(
            &packed[..v],
            &alone(&[root.clone(), left.clone()].concat(), adapted),
            1e-4,
        );
        assert_close(
            &packed[v..2 * v],
            &alone(&[root.clone(), right.clone()].concat(), adapted),
            1e-4,
        );
        assert_close(
            &packed[2 * v..],
            &alone(
                &[root.clone(), left.clone(), leaf.clone()].concat(),
                adapted,
            ),
            1e-4,
        );
    }
}

#[test]
fn extending_with_cached_keys_equals_computing_anew() {
    let model = model();
    let (prompt, more, third) = (tokens(11, 5), tokens(6, 6), tokens(2, 7));
    let mut tree = TokenTree::default();
    let mut session = Session::default();
    let p = tree.push(None, &prompt);
    session.prefill(&model, None, &tree);
    let m = tree.push(Some(p), &more);
    session.extend(&model, None, &tree);
    let t = tree.push(Some(m), &third);
    session.extend(&model, None, &tree);
    let row = tree.rows(t).end - 1;
    assert_close(
        session.logits(&model, &[row]),
        &alone(&[prompt, more, third].concat(), false),
        1e-4,
    );
}

#[test]
fn continuations_scored_together_equal_each_scored_alone() {
    let model = model();
    let (stem, other) = (tokens(3, 9), tokens(6, 10));
    let options = vec![
        tokens(1, 8),
        [&stem[..], &[1]].concat(),
        other.clone(),
        [&stem[..], &[2, 3]].concat(),
        // The beginning of another, one twice, and one that parts late.
        stem.clone(),
        other.clone(),
        [&stem[..], &[2, 3, 4]].concat(),
        [&other[..4], &[5, 6]].concat(),
    ];
    let together = {
        let mut tree = TokenTree::default();
        let mut session = Session::default();
        let p = tree.push(None, &tokens(7, 11));
        session.prefill(&model, None, &tree);
        let scores = score_continuations(&mut session, &model, None, &mut tree, p, &options);
        // Each shared token once, and no last token: stem, 2 and 3 after it, five of the others' six,
        // and one where they part.
        assert_eq!(tree.len(), 7 + 3 + 2 + 5 + 1);
        scores
    };
    for (option, score) in options.iter().zip(together) {
        let mut ids = tokens(7, 11);
        let mut expected = 0.0;
        for &token in option {
            let logits = alone(&ids, false);
            expected += logits[token as usize] - hkfr_lm::log_sum_exp(&logits);
            ids.push(token);
        }
        assert_close(&[score], &[expected], 1e-4);
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let model = model();
    let logits = |n_threads: usize| {
        let mut tree = TokenTree::default();
        let prompt = tree.push(None, &tokens(30, 1));
        let ends: Vec<usize> = (0..3)
            .map(|i| {
                let segment = tree.push(Some(prompt), &tokens(5, i));
                tree.rows(segment).end - 1
            })
            .collect();
        let mut session = Session::default();
        session.pool = Pool::new(n_threads);
        session.prefill(&model, None, &tree);
        session.logits(&model, &ends).to_vec()
    };
    assert_eq!(logits(2), logits(1));
    assert_eq!(logits(7), logits(1));
}

#[test]
fn bfloat16_moves_the_logits_by_its_rounding_only() {
    let mut model = model();
    let exact = alone_in(&model, None, &tokens(40, 3));
    model.set_precision(Precision::Bf16);
    let rounded = alone_in(&model, None, &tokens(40, 3));
    let norm = |xs: &[f32]| xs.iter().map(|x| x * x).sum::<f32>().sqrt();
    let moved: Vec<f32> = exact.iter().zip(&rounded).map(|(a, b)| a - b).collect();
    let share = norm(&moved) / norm(&exact);
    assert!(share < 0.03, "moved by {share}");
    assert_eq!(share > 0.0, Precision::Bf16.is_fast());
}

#[test]
#[should_panic(expected = "longer than the model's 64 positions")]
fn a_sequence_beyond_the_context_is_refused() {
    alone(&tokens(65, 1), false);
}
