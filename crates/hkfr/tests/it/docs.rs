//! What the documents say of commands, files and places is so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use hkfr::args::Cli;
use hkfr_rec::systems::SYSTEMS;

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn markdown_in(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in dir.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            markdown_in(&path, into);
        } else if path.extension().is_some_and(|e| e == "md") {
            into.push(path);
        }
    }
}

/// Every document for people.
fn documents() -> Vec<PathBuf> {
    let root = root();
    let mut found = vec![root.join("README.md"), root.join("ARCHITECTURE.md")];
    for dir in ["docs", "benchmarks", "fuzz"] {
        markdown_in(&root.join(dir), &mut found);
    }
    assert!(found.len() > 8, "{found:?}");
    found
}

/// The targets of the links of a document, with their lines.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(i, line)| {
        let targets = line.split("](").skip(1);
        targets.map(move |rest| (i + 1, rest.split(')').next().unwrap()))
    })
}

/// What a heading is called in a link, as GitHub makes it.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut n = 0;
    for path in documents() {
        let text = read(&path);
        for (line, target) in links(&text).filter(|(_, t)| !t.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let at = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            assert!(
                at.exists(),
                "{}:{line}: {target} is not there",
                path.display()
            );
            if !anchor.is_empty() {
                let known = anchors(&read(&at));
                assert!(
                    known.contains(anchor),
                    "{}:{line}: {target} among {known:?}",
                    path.display()
                );
            }
            n += 1;
        }
    }
    assert!(n > 50, "only {n} links were found");
}

/// The arguments of hkfr in the shell blocks of a document, with their lines.
fn commands(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut in_shell = false;
    for (i, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            in_shell = line == "```sh";
            continue;
        }
        let command = line.split(" #").next().unwrap().trim();
        let arguments = ["hkfr ", "cargo run --release -- "]
            .iter()
            .find_map(|start| command.strip_prefix(start));
        if let Some(arguments) = arguments.filter(|_| in_shell) {
            let words = arguments.split_whitespace().map(str::to_owned);
            found.push((i + 1, words.collect()));
        }
    }
    found
}

#[test]
fn every_command_of_the_documents_is_understood() {
    let (root, mut n) = (root(), 0);
    for path in documents() {
        for (line, words) in commands(&read(&path)) {
            let place = format!("{}:{line}", path.display());
            let all = std::iter::once("hkfr").chain(words.iter().map(String::as_str));
            if let Err(e) = Cli::try_parse_from(all) {
                panic!("{place}: {e}");
            }
            for file in words.iter().filter(|word| word.starts_with("configs/")) {
                assert!(root.join(file).exists(), "{place}: {file} is not there");
            }
            n += 1;
        }
    }
    assert!(n > 12, "only {n} commands were found");
}

/// The code spans in the first column of the table after a heading.
fn first_column<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let after = text
        .split_once(heading)
        .unwrap_or_else(|| panic!("no {heading:?}"))
        .1;
    let rows = after.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        row.split('`')
            .nth(1)
            .unwrap_or_else(|| panic!("no code in {row}"))
    })
    .collect()
}

#[test]
fn the_readme_lists_the_commands_that_there_are() {
    let text = read(&root().join("README.md"));
    let mut listed = BTreeSet::new();
    for code in first_column(&text, "\n## Commands\n") {
        let names = code.split_whitespace().nth(1).unwrap();
        listed.extend(names.split("\\|").map(str::to_owned));
    }
    let cli = Cli::command();
    let there_are = cli.get_subcommands().map(|c| c.get_name().to_owned());
    assert_eq!(listed, there_are.collect());
}

#[test]
fn every_committed_run_names_its_command() {
    let dir = root().join("benchmarks");
    let text = read(&dir.join("README.md"));
    let mut named = BTreeSet::new();
    for path in first_column(&text, "# Benchmarks\n") {
        // `trained/MODEL.json` stands for all of its folder.
        let of_all = |part: &str| {
            part.split('.')
                .next()
                .unwrap()
                .chars()
                .all(char::is_uppercase)
        };
        let parts = path
            .trim_end_matches('/')
            .split('/')
            .take_while(|part| !of_all(part));
        let there: PathBuf = parts.collect();
        assert!(dir.join("runs").join(&there).exists(), "no runs/{path}");
        named.insert(there.iter().next().unwrap().to_owned());
    }
    let there_are = dir.join("runs").read_dir().unwrap();
    assert_eq!(
        named,
        there_are.map(|entry| entry.unwrap().file_name()).collect()
    );
}

/// docs/results.md and the README's table are what `benchmarks/results.py` makes of the committed runs.
#[test]
fn the_results_are_those_of_the_committed_runs() {
    let script = root().join("benchmarks/results.py");
    let output = std::process::Command::new("python3")
        .arg(script)
        .arg("--check")
        .output()
        .expect("python3 makes the tables of the results; install it");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

/// Every system without a language model stands in the table of sources; SASRec with one loss in SASRec's row.
#[test]
fn the_source_of_every_system_is_told() {
    let rivals = read(&root().join("docs/rivals.md"));
    let plain = |name: &str| name.trim().to_lowercase().replace([' ', '-'], "");
    let told: BTreeSet<String> = rivals
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" |"))
        .flat_map(|(names, _)| names.split(','))
        .map(plain)
        .collect();
    for system in SYSTEMS {
        let name = ["-bce", "-softmax"]
            .iter()
            .find_map(|loss| system.strip_suffix(loss))
            .unwrap_or(system);
        assert!(told.contains(&plain(name)), "{system}: {told:?}");
    }
}
