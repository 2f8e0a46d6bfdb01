use hkfr_lm::{Candidates, Session, TokenTree, score_candidates, score_continuations};

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

#[test]
fn the_top_is_exact_and_the_rest_lies_below_it() {
    let model = model();
    let lora = lora(&model);
    let names = names();
    let candidates = Candidates::new(&names, END).unwrap();
    let prompt = |session: &mut Session| {
        let mut tree = TokenTree::default();
        let p = tree.push(None, &tokens(8, 70));
        session.prefill(&model, Some(&lora), &tree);
        (tree, p)
    };
    let mut session = Session::default();
    let (mut tree, p) = prompt(&mut session);
    let with_end: Vec<Vec<u32>> = names
        .iter()
        .map(|n| [n.clone(), vec![END]].concat())
        .collect();
    let all = score_continuations(&mut session, &model, Some(&lora), &mut tree, p, &with_end);
    let mut ranked: Vec<usize> = (0..names.len()).collect();
    ranked.sort_by(|&a, &b| all[b].total_cmp(&all[a]));
    for top in [1, 5, names.len()] {
        for width in [1, 4, 64] {
            let (mut tree, p) = prompt(&mut session);
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

#[test]
fn equal_names_and_no_names_are_refused() {
    let twice = Candidates::new(&[vec![1, 2], vec![3], vec![1, 2]], END).unwrap_err();
    assert_eq!(twice.to_string(), "candidates 0 and 2 have the same name");
    assert!(Candidates::new(&[], END).is_err());
}
