//! Runs of several places in one table: seeds averaged, other questions refused.

use hkfr_eval::{ALL, Metric, Repeats, Source, Truth, evaluate, keep_common, pool};

use crate::fixtures::{config, drawn};

fn source(name: &str, seed: u64, systems: &[(&str, f64)]) -> Source {
    let (truth, mut runs) = drawn("item", 30, systems, 4);
    runs.iter_mut().for_each(|r| r.seed = Some(seed));
    Source {
        name: name.into(),
        repeats: Repeats::Allow,
        truths: vec![truth],
        runs,
    }
}

#[test]
fn seeds_and_systems_of_several_runs_become_one_table() {
    let a = source("a", 1, &[("fixed", 20.0), ("learnt", 8.0)]);
    let mut b = source("b", 2, &[("fixed", 20.0), ("learnt", 30.0)]);
    // Another order of cases, targets and labels is the same question.
    b.truths[0].cases.reverse();
    b.truths[0].cases[0]
        .labels
        .push("of another version".into());
    let mut again = a.clone();
    again.name = "again".into();
    let pooled = pool(vec![a.clone(), b.clone(), again]).unwrap();
    assert_eq!(pooled.truths, a.truths);
    assert_eq!(pooled.runs.len(), 4, "the same run counts once");
    let mean_of = |s: &Source| {
        let report = evaluate(&s.truths, &s.runs, &config(None)).unwrap();
        let all = report.tasks[0].segment(ALL).unwrap().clone();
        *all.system("learnt")
            .unwrap()
            .value(Metric::Ndcg, 10)
            .unwrap()
    };
    let (one, two, both) = (mean_of(&a), mean_of(&b), mean_of(&pooled));
    assert!((both.mean - (one.mean + two.mean) / 2.0).abs() < 1e-12);
    // Of two numbers the deviation is their distance over √2.
    let sd = (one.mean - two.mean).abs() / 2f64.sqrt();
    assert!((both.seed_sd.unwrap() - sd).abs() < 1e-12 && sd > 0.05);
}

#[test]
fn a_system_that_was_asked_a_sample_is_compared_on_it() {
    let a = source("a", 1, &[("quick", 20.0)]);
    let mut b = source("b", 1, &[("slow", 8.0)]);
    b.truths[0].cases.retain(|c| c.case.ends_with('3'));
    b.runs[0].lists.retain(|l| l.case.ends_with('3'));
    let mut sources = [a.clone(), b.clone()];
    let told = keep_common(&mut sources).unwrap();
    assert_eq!(
        told,
        ["item: compared on 3 cases, which all runs were asked, of 30."]
    );
    let pooled = pool(sources.to_vec()).unwrap();
    assert_eq!(pooled.truths, b.truths);
    let cases = |s: &Source, run: usize| -> Vec<String> {
        s.runs[run].lists.iter().map(|l| l.case.clone()).collect()
    };
    assert_eq!(cases(&pooled, 0), ["u3", "u13", "u23"]);
    assert_eq!(cases(&pooled, 1), cases(&b, 0));
    // What all were asked stays as it is.
    let mut same = [a.clone(), a.clone()];
    assert!(keep_common(&mut same).unwrap().is_empty());
    assert_eq!(same[0], a);
    let mut others = [a, b];
    others[1].truths[0]
        .cases
        .iter_mut()
        .for_each(|c| c.case.push('x'));
    let error = keep_common(&mut others).unwrap_err().to_string();
    assert!(
        error.starts_with("no case of task `item` was asked by all"),
        "{error}"
    );
}

#[test]
fn other_questions_and_other_lists_are_refused_by_name() {
    let a = source("runs/a", 1, &[("learnt", 8.0)]);
    let check = |expect: &str, change: &dyn Fn(&mut Truth, &mut Source)| {
        let mut b = source("runs/b", 2, &[("learnt", 8.0)]);
        let mut truth = b.truths[0].clone();
        change(&mut truth, &mut b);
        b.truths[0] = truth;
        let message = pool(vec![a.clone(), b]).unwrap_err().to_string();
        assert!(
            message.contains("runs/a and runs/b") && message.contains(expect),
            "{message}\ndoes not say {expect}"
        );
    };
    check("case `u0` is only in the first", &|t, _| {
        drop(t.cases.remove(0))
    });
    check(
        "2 of 30 cases are only in the first, such as `u0`",
        &|t, _| {
            t.cases.drain(..2);
        },
    );
    check("case `u3` has other targets", &|t, _| {
        t.cases[3].targets = vec!["i00".into(), "i01".into()];
    });
    check("case `u3` has other targets", &|t, _| {
        t.cases[3].gains = vec![2.0]
    });
    check("case `u3` has other consumed items", &|t, _| {
        t.cases[3].consumed = vec!["i00".into()];
    });
    check("overall segment", &|t, _| t.cases[3].in_overall = false);
    check("catalogue item `new` is only in the second", &|t, _| {
        t.catalogue.insert("new".into());
    });
    check("task `item` is only in the first", &|t, s| {
        t.task = "category".into();
        s.runs.iter_mut().for_each(|r| r.task = "category".into());
    });
    check(
        "the first allows repeated choices, the second excludes them",
        &|_, s| {
            s.repeats = Repeats::Exclude;
        },
    );
    check(
        "lists of `learnt` for task `item` with the same seed",
        &|_, s| {
            s.runs[0].seed = Some(1);
            s.runs[0].lists[0].items.swap(0, 1);
        },
    );
}
