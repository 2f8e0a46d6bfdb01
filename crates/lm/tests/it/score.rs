use hkfr_lm::{Pooling, Session, SharedPrefix, TokenTree, softmax};

use crate::tiny::{assert_close, lora, model, tokens};

#[test]
fn yes_and_no_are_weighed_by_the_probabilities_of_all_their_tokens() {
    let model = model();
    let lora = lora(&model);
    let mut shared = SharedPrefix::new(&model, Some(&lora));
    let prefix = tokens(8, 1);
    let prompts: Vec<Vec<u32>> = (0..300).map(|i| tokens(1 + i % 9, i as u64)).collect();
    let refs: Vec<&[u32]> = prompts.iter().map(|p| &p[..]).collect();
    let scores = shared.yes_no(&prefix, &refs, &[3, 4], &[9]).unwrap();
    for (prompt, score) in prompts.iter().zip(scores).step_by(17) {
        let ids = [&prefix[..], prompt].concat();
        let mut tree = TokenTree::default();
        tree.push(None, &ids);
        let mut session = Session::default();
        session.prefill(&model, Some(&lora), &tree);
        let mut p = session.logits(&model, &[ids.len() - 1]).to_vec();
        softmax(&mut p);
        let (yes, no) = (p[3] + p[4], p[9]);
        assert_close(&[score], &[yes / (yes + no)], 1e-4);
    }
    let error = shared.yes_no(&prefix, &refs, &[3], &[3]).unwrap_err();
    assert!(error.to_string().contains("tokens of their own"));
}

#[test]
fn embeddings_are_pooled_hidden_states_of_length_1() {
    let model = model();
    let mut shared = SharedPrefix::new(&model, None);
    let d = model.config.hidden_size;
    for prefix in [vec![], tokens(6, 40)] {
        let texts: Vec<Vec<u32>> = (1..12).map(|i| tokens(i, i as u64)).collect();
        let refs: Vec<&[u32]> = texts.iter().map(|t| &t[..]).collect();
        for pooling in [Pooling::Mean, Pooling::Last] {
            let found = shared.embed(&prefix, &refs, pooling).unwrap();
            for (text, found) in texts.iter().zip(found) {
                let ids = [&prefix[..], text].concat();
                let mut tree = TokenTree::default();
                tree.push(None, &ids);
                let mut session = Session::default();
                session.prefill(&model, None, &tree);
                let from = match pooling {
                    Pooling::Mean => prefix.len(),
                    Pooling::Last => ids.len() - 1,
                };
                let rows: Vec<usize> = (from..ids.len()).collect();
                let mut hidden = Vec::new();
                session.hidden(&model, &rows, &mut hidden);
                let mut mean: Vec<f32> = (0..d)
                    .map(|i| hidden.iter().skip(i).step_by(d).sum::<f32>() / rows.len() as f32)
                    .collect();
                let norm = mean.iter().map(|x| x * x).sum::<f32>().sqrt();
                mean.iter_mut().for_each(|x| *x /= norm);
                assert_close(&found, &mean, 1e-4);
            }
        }
    }
    assert!(shared.embed(&[1], &[&[]], Pooling::Mean).is_err());
}
