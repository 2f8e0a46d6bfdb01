use hkfr_lm::{Session, TokenTree, score_continuations};

use crate::tiny::{assert_close, lora, model, tokens};

/// Logits at the end of a sequence that stands alone.
fn alone(ids: &[u32], adapted: bool) -> Vec<f32> {
    let model = model();
    let lora = lora(&model);
    let mut tree = TokenTree::default();
    tree.push(None, ids);
    let mut session = Session::default();
    session.prefill(&model, adapted.then_some(&lora), &tree);
    session.logits(&model, &[ids.len() - 1]).to_vec()
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
    let options = vec![tokens(1, 8), tokens(4, 9), tokens(6, 10)];
    let together = {
        let mut tree = TokenTree::default();
        let mut session = Session::default();
        let p = tree.push(None, &tokens(7, 11));
        session.prefill(&model, None, &tree);
        score_continuations(&mut session, &model, None, &mut tree, p, &options)
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
#[should_panic(expected = "longer than the model's 64 positions")]
fn a_sequence_beyond_the_context_is_refused() {
    alone(&tokens(65, 1), false);
}
