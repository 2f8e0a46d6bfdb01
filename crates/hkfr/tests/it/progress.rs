//! What standard error shows: colours, bars and lines, and how far something is.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hkfr::progress::{Progress, Unit};
use hkfr::stages::FitState;
use hkfr::terminal::colours;
use hkfr_rec::sequence::Accuracy;
use hkfr_rec::systems::Progress as Fit;

use crate::cli::{hkfr, run};
use crate::server::{Reply, Server, good, say};
use crate::service::served;
use crate::walk::toy;

#[test]
fn colours_are_for_terminals_and_for_who_asks() {
    let check = |is_terminal, set: &[(&str, &str)]| {
        let value = |name: &str| {
            let found = set.iter().find(|s| s.0 == name);
            found.map(|s| s.1.to_owned())
        };
        colours(is_terminal, value)
    };
    assert!(check(true, &[]) && !check(false, &[]));
    assert!(check(true, &[("TERM", "xterm-256color")]) && !check(true, &[("TERM", "dumb")]));
    assert!(!check(true, &[("NO_COLOR", "1")]) && check(true, &[("NO_COLOR", "")]));
    assert!(check(false, &[("CLICOLOR_FORCE", "1")]) && !check(false, &[("CLICOLOR_FORCE", "0")]));
    assert!(!check(true, &[("CLICOLOR", "0")]));
    assert!(!check(false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

/// Standard output and error of a command whose output is piped, with everything logged.
fn piped(dir: &Path, args: &[&str], forced: bool) -> String {
    let mut command = hkfr(dir);
    command.args(args).env("HKFR_LOG", "trace");
    if forced {
        command.env("CLICOLOR_FORCE", "1")
    } else {
        command.env_remove("CLICOLOR_FORCE")
    };
    let output = command.output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// No escape sequence, and no line drawn again.
#[test]
fn what_is_piped_into_a_file_is_plain_text() {
    for forced in [false, true] {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        // The service fails once, which is a warning.
        let failed = AtomicBool::new(false);
        let server = Server::start(move |_| match failed.swap(true, Ordering::Relaxed) {
            false => Reply::Say(503, "retry-after: 0\r\n".into(), "{}".into()),
            true => say(200, good("small", r#"{"claims": [], "text": "Nothing."}"#)),
        });
        served(dir, &server.url, "");
        let fused = piped(dir, &["--offline", "fuse", "toy.toml"], forced);
        assert!(fused.contains("trying again"), "{fused}");
        assert_eq!(fused.contains("\u{1b}[33m WARN"), forced, "{fused}");
        if forced {
            continue;
        }
        let help = piped(dir, &["--help"], false);
        let error = piped(dir, &["split", "absent.toml"], false);
        let usage = piped(dir, &["no-such-command"], false);
        for text in [fused, help, error, usage] {
            assert!(!text.contains(['\u{1b}', '\r']), "{text}");
        }
    }
}

#[test]
fn a_log_with_duplicates_is_sorted_to_its_end() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    toy(dir);
    let path = dir.join("logs/log.csv");
    let log = std::fs::read_to_string(&path).unwrap();
    let (header, rows) = log.split_once('\n').unwrap();
    std::fs::write(&path, format!("{header}\n{rows}{rows}")).unwrap();
    let (code, _, err) = run(dir, &["ingest", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    let n = 2 * rows.lines().count();
    let line = format!("sorting by user: {n}/{n} events (100%)");
    assert!(err.contains(&line), "{line} is not in\n{err}");
}

fn validated(epoch: usize, last: f64, best: f64, best_epoch: usize, ends: usize) -> Fit {
    Fit::Validated {
        epoch,
        accuracy: Accuracy {
            ndcg_at_10: last,
            ..Default::default()
        },
        best,
        best_epoch,
        ends,
    }
}

#[test]
fn a_fit_says_when_it_ends_as_far_as_that_is_known() {
    let trained = |epoch, max_epochs| Fit::Trained {
        epoch,
        max_epochs,
        loss: 1.5,
    };
    let mut state = FitState::new("sasrec", "item");
    let seconds = Duration::from_secs;
    state.hear(trained(2, 200), seconds(4));
    assert_eq!(
        state.to_string(),
        "sasrec, item: epoch 2 of at most 200, loss 1.500, at most 7 minutes left"
    );
    state.hear(validated(2, 0.05, 0.06, 1, 12), seconds(4));
    assert_eq!(
        state.to_string(),
        "sasrec, item: epoch 2 of at most 200, validation NDCG@10 0.0500 (best 0.0600, epoch 1), ends in 20 seconds \
         unless it improves, at most 7 minutes left"
    );
    // Ten more epochs in vain would be more than there are.
    state.hear(trained(195, 200), seconds(390));
    state.hear(validated(195, 0.07, 0.07, 195, 200), seconds(390));
    assert_eq!(
        state.to_string(),
        "sasrec, item: epoch 195 of at most 200, validation NDCG@10 0.0700 (best 0.0700, epoch 195), at most 10 \
         seconds left"
    );
    // A second time, from everything: what was validated then says nothing of now.
    assert!(state.hear(trained(1, 195), seconds(392)));
    assert!(
        state.to_string().contains("epoch 1 of at most 195, loss"),
        "{state}"
    );
}

#[test]
fn runs_of_unequal_length_have_no_estimate() {
    let progress = Progress::new("ranking", Unit::Unequal("runs"), Some(4));
    progress.inc(3);
    progress.note("sasrec, item");
    assert_eq!(progress.line(), "3/4 runs · sasrec, item");
    let progress = Progress::new("writing", Unit::Things("rows"), Some(4));
    progress.inc(3);
    assert!(progress.line().contains("left"), "{}", progress.line());
}
