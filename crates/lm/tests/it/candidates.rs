use hkfr_lm::{Candidates, Session, TokenTree, score_candidates};

use crate::tiny::{assert_close, lora, model, tokens};

const END: u32 = 36;

fn names() -> Vec<Vec<u32>> {
    // Shared first tokens, one name a prefix of another, different lengths.
    let mut names: Vec<Vec<u32>> = (0..40)
        .map(|i| vec![i % 5, 5 + i % 7, 12 + i / 5 % 9, 25 + i / 20])
        .collect();
    names.extend([vec![0], vec![0, 5], vec![33, 34]]);
    names.sort();
    names.dedup();
    names
}

/// `ln p` of every name by the definition: one softmax over the allowed tokens a step, each prefix
/// computed alone.
fn by_definition(names: &[Vec<u32>], prompt: &[u32]) -> Vec<f32> {
    let model = model();
    let lora = lora(&model);
    let with_end: Vec<Vec<u32>> = names.iter().map(|n| [&n[..], &[END]].concat()).collect();
    let score = |name: &Vec<u32>| -> f32 {
        (0..name.len())
            .map(|t| {
                let mut allowed: Vec<u32> = with_end
                    .iter()
                    .filter(|n| n.len() > t && n[..t] == name[..t])
                    .map(|n| n[t])
                    .collect();
                allowed.sort_unstable();
                allowed.dedup();
                let mut tree = TokenTree::default();
                let ids = [prompt, &name[..t]].concat();
                tree.push(None, &ids);
                let mut session = Session::default();
                session.prefill(&model, Some(&lora), &tree);
                let logits = session.logits(&model, &[ids.len() - 1]);
                let sum: f32 = allowed.iter().map(|&a| logits[a as usize].exp()).sum();
                logits[name[t] as usize] - sum.ln()
            })
            .sum()
    };
    with_end.iter().map(score).collect()
}

#[test]
fn the_top_is_exact_and_the_rest_lies_below_it() {
    let model = model();
    let lora = lora(&model);
    let names = names();
    let candidates = Candidates::new(&names, END).unwrap();
    let prompt = tokens(8, 70);
    let all = by_definition(&names, &prompt);
    let total: f32 = all.iter().map(|s| s.exp()).sum();
    assert!(
        (total - 1.0).abs() < 1e-4,
        "the probabilities sum to {total}"
    );
    let mut ranked: Vec<usize> = (0..names.len()).collect();
    ranked.sort_by(|&a, &b| all[b].total_cmp(&all[a]));
    let mut session = Session::default();
    for top in [1, 5, names.len()] {
        for width in [1, 4, 64] {
            let mut tree = TokenTree::default();
            let p = tree.push(None, &prompt);
            session.prefill(&model, Some(&lora), &tree);
            let scores = score_candidates(
                &mut session,
                &model,
                Some(&lora),
                &mut tree,
                p,
                &candidates,
                top,
                width,
            );
            for &c in &ranked[..top] {
                assert_close(&[scores[c]], &[all[c]], 1e-4);
            }
            let kth = all[ranked[top - 1]];
            for &c in &ranked[top..] {
                assert!(
                    scores[c] <= kth + 1e-3,
                    "candidate {c} is left at {} above the {top}-th score {kth}",
                    scores[c]
                );
                assert!(
                    scores[c] >= all[c] - 1e-3,
                    "candidate {c}: bound {} below its score {}",
                    scores[c],
                    all[c]
                );
            }
        }
    }
}

/// Names that begin alike: the choice comes after a common beginning, or there is none.
#[test]
fn a_common_beginning_costs_nothing_and_a_single_name_is_certain() {
    let model = model();
    let lora = lora(&model);
    for (names, expected) in [
        (vec![vec![3, 4, 5]], Some(vec![0.0])),
        (vec![vec![3, 4, 5], vec![3, 4, 6, 7], vec![3, 4]], None),
    ] {
        let candidates = Candidates::new(&names, END).unwrap();
        let mut tree = TokenTree::default();
        let p = tree.push(None, &tokens(5, 1));
        let mut session = Session::default();
        session.prefill(&model, Some(&lora), &tree);
        let scores = score_candidates(
            &mut session,
            &model,
            Some(&lora),
            &mut tree,
            p,
            &candidates,
            9,
            9,
        );
        let expected = expected.unwrap_or_else(|| by_definition(&names, &tokens(5, 1)));
        assert_close(&scores, &expected, 1e-4);
    }
}

#[test]
fn equal_names_and_no_names_are_refused() {
    let twice = Candidates::new(&[vec![1, 2], vec![3], vec![1, 2]], END).unwrap_err();
    assert_eq!(twice.to_string(), "candidates 0 and 2 have the same name");
    assert!(Candidates::new(&[], END).is_err());
}
